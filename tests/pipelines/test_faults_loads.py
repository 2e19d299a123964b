"""A load that is killed, done twice, damaged or robbed of its files leaves the raw tables of an undisturbed one."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_support import House, finish
from faults_support import (
    RAW,
    Content,
    Strike,
    content,
    differences,
    hooked,
    new_house,
    outside,
    struck,
    write_day,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")

EVENTS_COMMITTED = Strike(r"rename .*/kpi_events/.*/\.pending_transitions/events")


@pytest.fixture(scope="module")
def first_day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[House, Content]]:
    """A warehouse with the events of the first day, all else of the second day before it, and what becomes of it."""
    folder = tmp_path_factory.mktemp("loads")
    house = new_house(folder / "first")
    house.folder.mkdir()
    write_day(house, 1)
    house.kpi("ingest").is_well()
    with outside() as around:
        around.bill(2)
        around.connect(house)
        plain = house.copied(folder / "plain")
        write_day(plain, 2)
        plain.kpi("ingest").is_well()
        yield house, content(plain, *RAW)


@pytest.fixture
def house(first_day: tuple[House, Content], tmp_path: Path) -> House:
    """The same with the event files of the second day, not loaded yet."""
    house = first_day[0].copied(tmp_path)
    write_day(house, 2)
    return house


def test_kills_at_each_boundary_of_each_source_leave_what_an_undisturbed_load_leaves(
    house: House, first_day: tuple[House, Content]
) -> None:
    boundaries = [
        r"rename .*/kpi_events/normalize/extracted/",
        r"rename .*/kpi_events/load/normalized/\d[^/]*$",
        EVENTS_COMMITTED.pattern,
        r"rename .*/kpi_events/load/loaded/",
        r"rename .*/kpi_stripe/.*/\.pending_transitions/invoice_lines",
        r"rename .*/kpi_stripe/load/loaded/",
        r"rename .*/kpi_scraped/.*/\.pending_transitions/observations",
    ]
    for boundary in boundaries:
        assert struck(house, "ingest", strike=Strike(boundary)), boundary
    house.kpi("ingest").is_well()
    assert differences(first_day[1], content(house, *RAW)) == []


def test_a_lost_working_folder_leaves_no_half_load_behind(
    house: House, first_day: tuple[House, Content]
) -> None:
    assert struck(house, "ingest", "events", strike=EVENTS_COMMITTED)
    shutil.rmtree(house.state)
    house.kpi("ingest", "events").is_well()
    assert differences(first_day[1], content(house, "raw_events")) == []


def test_after_a_lost_working_folder_the_keys_are_still_known(house: House) -> None:
    assert struck(house, "ingest", "events", strike=EVENTS_COMMITTED)
    shutil.rmtree(house.state)
    house.kpi("ingest", "events", KPI_USER_KEY="another" * 6).fails_with(1, "every user would count twice")


def test_a_deleted_warehouse_is_loaded_anew_whatever_the_working_folder_says(house: House) -> None:
    anew = house.copied(house.folder / "anew")
    house.kpi("ingest", "events").is_well()
    assert struck(anew, "ingest", "events", strike=EVENTS_COMMITTED)
    for path in (*anew.folder.glob("*.wal"), anew.file):
        path.unlink(missing_ok=True)
    anew.kpi("ingest", "events").is_well()
    again = house.copied(house.folder / "again")
    again.file.unlink()
    again.kpi("ingest", "events").is_well()
    assert differences(content(again, "raw_events"), content(anew, "raw_events")) == []
    files = {name for (name,) in again.rows("select source_file from raw_events.files")}
    assert files == {path.name for path in house.events.iterdir()}


def test_a_clock_that_goes_back_changes_nothing(house: House, first_day: tuple[House, Content]) -> None:
    assert finish(hooked(house, "ingest", "events", clock=-30 * 24 * 3600.0)).code == 0
    house.kpi("ingest", "events").is_well()
    assert differences(first_day[1], content(house, "raw_events")) == []


def cut(pattern: str) -> Callable[[House], None]:
    def work(house: House) -> None:
        [path] = (house.state / "pipelines" / "kpi_events").glob(pattern)
        path.write_bytes(path.read_bytes()[:40])

    return work


@pytest.mark.parametrize(
    ("strike", "damage"),
    [
        (r"rename .*/kpi_events/.*/started_jobs/", "load/normalized/*/new_jobs/events*"),
        (r"rename .*/kpi_events/.*/started_jobs/", "load/normalized/*/load_package_state.json"),
    ],
)
def test_a_damaged_file_of_a_load_under_way_is_said_with_its_remedy_which_helps(
    house: House, first_day: tuple[House, Content], strike: str, damage: str
) -> None:
    folder = house.state / "pipelines" / "kpi_events"
    assert struck(house, "ingest", "events", strike=Strike(strike))
    cut(damage)(house)
    for _ in range(2):
        house.kpi("ingest", "events").fails_with(1, f"elete {folder}, then start again")
    shutil.rmtree(folder)
    house.kpi("ingest", "events").is_well()
    assert differences(first_day[1], content(house, "raw_events")) == []
