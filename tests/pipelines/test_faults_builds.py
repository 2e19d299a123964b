"""A killed build leaves marts that can be read, no process behind it, and is made good by the next one."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_support import BIN, House, finish
from dbt_support import lend_reading
from faults_support import (
    MARTS,
    Content,
    Strike,
    content,
    day,
    differences,
    hooked,
    new_house,
    outside,
    stopped,
    struck,
    torn,
    write_day,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")


@dataclass(frozen=True)
class Days:
    """A warehouse with the reports of the day before yesterday, and yesterday's input loaded but not built."""

    loaded: House
    before: Content
    after: Content
    """The marts before and after yesterday's build."""


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Days]:
    folder = tmp_path_factory.mktemp("builds")
    house = new_house(folder / "first")
    house.folder.mkdir()
    write_day(house, 1)
    with outside() as around:
        around.connect(house)
        around.subscribe(1)
        house.kpi("run", "--date", day(1).isoformat()).is_well()
        before = content(house, *MARTS)
        around.bill(2)
        around.subscribe(2)
        write_day(house, 2)
        house.kpi("ingest").is_well()
        plain = house.copied(folder / "plain")
        plain.kpi("build", "--date", day(2).isoformat()).is_well()
        after = content(plain, *MARTS)
        # A kill could not be seen in what is the same before and after it.
        assert before["kpi_internal.mrr_by_subscription"] != after["kpi_internal.mrr_by_subscription"] != []
        yield Days(house, before, after)


BUILD = ("build", "--date", day(2).isoformat())


def test_a_killed_build_is_made_good_by_the_next_one_which_lets_no_other_run_in(
    days: Days, tmp_path: Path
) -> None:
    house = days.loaded.copied(tmp_path)
    early, late = r"^dbt open .*/run/kpi/models/intermediate/\w+\.sql", r"^dbt open .*/run/kpi/models/marts/"
    for strike in (Strike(early, 4), Strike(late, 3, "kill kpi")):
        assert struck(house, *BUILD, strike=strike)
        assert torn(house, days.before, days.after) == []
        damage_artifacts(house)
    building = hooked(house, *BUILD, strike=Strike(late, way="stop"))
    dbt = stopped(house, building)
    try:
        turned_away(house, dbt)
    finally:
        os.kill(dbt, signal.SIGCONT)
    assert finish(building).code == 0
    assert differences(days.after, content(house, *MARTS)) == []


def damage_artifacts(house: House) -> None:
    """Cut what dbt writes for itself, as a kill in the middle of writing does."""
    for name in ("manifest.json", "partial_parse.msgpack", "run_results.json", "graph_summary.json"):
        path = house.state / "dbt" / name
        path.write_bytes(path.read_bytes()[:1000] if path.exists() else b"{")


def turned_away(house: House, dbt: int) -> None:
    """Hold that every way into a warehouse that a build is at work on is closed, and says why."""
    house.kpi("run").fails_with(1, "Another kpi run is at work")
    alone = house.program(str(BIN / "python"), "-m", "pipelines.sources.events")
    alone.fails_with(1, "Another kpi run is at work")
    place = house.folder / "target"
    lend_reading(house.file, place)
    by_hand = house.program(
        *(
            str(BIN / "dbt"),
            "build",
            "--target",
            "duckdb",
            "--target-path",
            str(place),
            "--log-path",
            str(place),
        ),
        DBT_PROFILES_DIR="profiles",
    )
    assert by_hand.code in {1, 2}
    assert "Could not set lock on file" in by_hand.text
    assert str(dbt) in by_hand.text
