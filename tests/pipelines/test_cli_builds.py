"""What `kpi build`, `run` and `backfill` make of a warehouse, and that stopping or repeating them changes nothing.

Builds are dear: each test works on a copy of a warehouse that was built once.
"""

import csv
import datetime as dt
import shutil
import signal
from pathlib import Path

import pytest
from command_support import BIN, RECORD_KEY, TODAY, USER_KEY, Finished, House, account, attempt, finish

from pipelines.warehouse import PROJECT_ROOT

pytestmark = pytest.mark.xdist_group("builds")

REPORTS = [
    f"{grain}_{subject}"
    for grain in ("daily", "weekly", "monthly")
    for subject in ("engagement", "advanced_metrics", "errors", "funnel")
]


def ago(days: int) -> dt.date:
    return TODAY - dt.timedelta(days=days)


def report_dates(house: House, mart: str = "daily_engagement") -> list[dt.date]:
    return [day for (day,) in house.rows(f"select distinct report_date from kpi_internal.{mart} order by 1")]


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Finished]:
    """A warehouse into which nothing was loaded, with the report of the day before yesterday."""
    house = House(tmp_path_factory.mktemp("empty"))
    return house, house.kpi("build", "--date", ago(2).isoformat())


@pytest.fixture(scope="session")
def loaded(empty: tuple[House, Finished], tmp_path_factory: pytest.TempPathFactory) -> tuple[House, Finished]:
    """The same after events came and `kpi run` was called today."""
    folder = tmp_path_factory.mktemp("loaded")
    house = empty[0].copied(folder)
    house.settings |= {"KPI_USER_KEY": USER_KEY, "KPI_RECORD_KEY": RECORD_KEY}
    day = ago(1).isoformat()
    house.write_events(
        "one.jsonl",
        [
            *(account(1, day), account(2, day), "{canary"),
            *(attempt(1, 1, day), attempt(2, 1, day, "camera_too_far"), attempt(3, 2, day, "lens_fogged")),
            attempt(1, 1, day),
            {**account(1, day), "event_id": "visit-1", "event_key": "shop_visited"},
        ],
    )
    return house, house.kpi("run")


def test_a_build_before_anything_was_loaded_gives_whole_reports_of_nothing(
    empty: tuple[House, Finished],
) -> None:
    house, built = empty
    built.is_well(f"Key figures of {ago(2)}")
    assert built.complained.count("Error") == 0
    for mart in REPORTS:
        assert report_dates(house, mart) == [ago(2)]
        rows = house.rows(
            f"select columns(lambda c: c not in ('report_date', 'period_label', 'period_start_date', 'period_end_date', "
            f"'created_at')) from kpi_internal.{mart}"
        )
        assert len(rows) == 12, mart
        assert {value for row in rows for value in row} <= {0, None}, mart


def test_a_run_loads_builds_every_missing_report_and_shows_what_came_of_it(
    loaded: tuple[House, Finished],
) -> None:
    house, ran = loaded
    ran.is_well("events: 7 events", "1 malformed", "5 counted", "1 duplicate", f"Key figures of {TODAY}")
    ran.is_well("'lens_fogged'", "error_types.csv", "'shop_visited'", "event_roles.csv", str(house.file))
    assert report_dates(house) == [ago(2), ago(1), TODAY]
    figures = house.rows(
        "select all_tests, successful_tests, active_users, total_users_to_date from kpi_internal.daily_engagement "
        f"where period_start_date = date '{ago(1)}' order by report_date"
    )
    assert figures == [(3, 1, 2, 2), (3, 1, 2, 2)]
    before = f"select sum(all_tests) from kpi_internal.daily_engagement where report_date = date '{ago(2)}'"
    assert house.one(before) == 0
    assert house.rows(
        "select camera_too_far, total_errors from kpi_internal.daily_errors "
        f"where report_date = date '{TODAY}' and period_start_date = date '{ago(1)}'"
    ) == [(1, 2)]


def test_a_build_with_nothing_new_ends_at_once_and_says_the_same(loaded: tuple[House, Finished]) -> None:
    house, built = loaded
    again = house.kpi("build")
    again.is_well("build: nothing has changed since the last one")
    assert warnings_of(again) == warnings_of(built) != []


def warnings_of(done: Finished) -> list[str]:
    return [line for line in done.shown.splitlines() if "warning:" in line]


def test_secrets_and_people_are_in_no_artifact_of_a_run(loaded: tuple[House, Finished]) -> None:
    house, ran = loaded
    hidden = [USER_KEY, RECORD_KEY, "person-1", "canary"]
    assert [text for text in hidden if text in ran.text] == []
    artifacts = [path for path in (house.folder / ".kpi").rglob("*") if path.is_file()]
    assert any(path.name == "manifest.json" for path in artifacts)
    for path in [house.file, *artifacts]:
        content = path.read_bytes()
        assert [text for text in hidden if text.encode() in content] == [], path


def test_dbt_alone_builds_the_same_again(loaded: tuple[House, Finished], tmp_path: Path) -> None:
    house = loaded[0].copied(tmp_path)
    before, written = house.marts(), house.one("select max(created_at) from kpi_internal.daily_engagement")
    place = str(tmp_path / "target")
    house.program(
        *(str(BIN / "dbt"), "build", "--target-path", place, "--log-path", place), DBT_PROFILES_DIR="profiles"
    ).is_well("Completed")
    assert house.marts() == before
    # Reports are left alone while what they are made from stays as it is.
    instants = house.rows("select distinct created_at from kpi_internal.event_fates")
    assert len(instants) == 1
    assert instants[0][0] > written


def test_a_backfill_that_was_stopped_is_finished_by_the_same_command(
    loaded: tuple[House, Finished], tmp_path: Path
) -> None:
    house = loaded[0].copied(tmp_path)
    before = house.marts()
    backfill = ("backfill", "--from", ago(10).isoformat(), "--to", ago(8).isoformat())
    process = house.start(*backfill)
    assert process.stderr
    for line in process.stderr:
        if "built " in line:
            break
    process.send_signal(signal.SIGINT)
    finish(process).fails_with(1, "Stopped. Nothing loaded before is lost")
    house.kpi(*backfill).is_well()
    assert report_dates(house) == [ago(10), ago(9), ago(8), ago(2), ago(1), TODAY]
    after = house.marts()
    for mart in REPORTS:
        assert set(before[mart]) <= set(after[mart]), mart


def test_own_seeds_take_the_place_of_ours(loaded: tuple[House, Finished], tmp_path: Path) -> None:
    house = loaded[0].copied(tmp_path)
    own = PROJECT_ROOT / "target" / f"own seeds of {tmp_path.name}"
    own.mkdir(parents=True, exist_ok=True)
    try:
        for path in (PROJECT_ROOT / "seeds").glob("*.csv"):
            shutil.copy(path, own)
        with (own / "error_types.csv").open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(["lens_fogged", "analysis_error"])
        before = {path.name: path.read_bytes() for path in own.iterdir()}
        built = house.kpi("build", KPI_SEEDS_PATH=str(own.relative_to(PROJECT_ROOT)))
        built.is_well()
        assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    finally:
        shutil.rmtree(own)
    assert "has no column" not in built.text
    assert house.rows(
        "select analysis_error, total_errors from kpi_internal.daily_errors "
        f"where report_date = date '{TODAY}' and period_start_date = date '{ago(1)}'"
    ) == [(1, 2)]


def test_seeds_outside_the_project_are_refused(house: House, tmp_path: Path) -> None:
    """dbt would write over them."""
    for path in (PROJECT_ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, tmp_path)
    house.kpi("build", KPI_SEEDS_PATH=str(tmp_path)).fails_with(
        2, "KPI_SEEDS_PATH", "no folder of the project"
    )
    house.kpi("build", KPI_SEEDS_PATH="no_such_seeds").fails_with(2, "KPI_SEEDS_PATH", "event_roles.csv")


def test_dbt_alone_never_reads_seeds_outside_the_project(house: House, tmp_path: Path) -> None:
    """It joins its target folder with the path of a seed, and joined with an absolute path that is the seed."""
    for path in (PROJECT_ROOT / "seeds").glob("*.csv"):
        shutil.copy(path, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")}
    dbt = (str(BIN / "dbt"), "seed", "--profiles-dir", "profiles", "--target-path", str(tmp_path / "target"))
    finished = house.program(*dbt, KPI_SEEDS_PATH=str(tmp_path))
    assert finished.code != 0
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.csv")} == before
