"""A build is left out only where nothing at all has changed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipelines.last_build import LastBuild
from pipelines.warehouse import Warehouse, environment

ASKED = (["build"], {"KPI_REPORT_DATE": "2026-01-05"})


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    house = Warehouse("duckdb", tmp_path / "company.duckdb", "", "UTC")
    house.state_folder.mkdir(parents=True)
    write(house)
    LastBuild(house, *ASKED).remember(["one warning"])
    return house


def write(house: Warehouse) -> None:
    with duckdb.connect(str(house.duckdb_path)) as connection:
        connection.execute("create table if not exists marts as select 1 as figure")
        connection.execute("insert into marts values (2)")


def test_what_was_not_touched_need_not_be_built_and_its_warnings_stand(warehouse: Warehouse) -> None:
    with duckdb.connect(str(warehouse.duckdb_path), read_only=True) as connection:
        assert connection.execute("select count(*) from marts").fetchall() == [(2,)]
    assert LastBuild(warehouse, *ASKED).warnings() == ["one warning"]


@pytest.mark.parametrize(
    "change",
    [
        lambda house: write(house),
        lambda house: house.duckdb_path.unlink(),
        lambda house: LastBuild(house, *ASKED).forget(),
        lambda house: (house.state_folder / "last_build").write_text("{"),
    ],
    ids=["written to", "gone", "a build began", "damaged"],
)
def test_whatever_changed_is_built(warehouse: Warehouse, change: Callable[[Warehouse], object]) -> None:
    change(warehouse)
    assert LastBuild(warehouse, *ASKED).warnings() is None


def test_what_a_killed_load_left_beside_the_warehouse_is_built(warehouse: Warehouse) -> None:
    with duckdb.connect(str(warehouse.duckdb_path)) as connection:
        # Committed, and in the write-ahead log alone: as it stays if the process dies now.
        connection.execute("insert into marts values (3)")
        assert LastBuild(warehouse, *ASKED).warnings() is None


def test_what_was_not_asked_for_before_is_built(warehouse: Warehouse) -> None:
    elsewhere = dataclasses.replace(warehouse, reporting_timezone="Asia/Tokyo")
    for other in (
        LastBuild(warehouse, ["build"], {"KPI_REPORT_DATE": "2026-01-06"}),
        LastBuild(warehouse, ["build", "test", "--select", "+daily_funnel"], ASKED[1]),
        LastBuild(elsewhere, *ASKED),
    ):
        assert other.warnings() is None


def test_changed_seeds_are_built(warehouse: Warehouse, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "event_roles.csv").write_text("event_key,role\n")
    house = dataclasses.replace(warehouse, seeds_path=seeds)
    LastBuild(house, *ASKED).remember([])
    assert LastBuild(house, *ASKED).warnings() == []
    (seeds / "event_roles.csv").write_text("event_key,role\ntest_completed,test\n")
    assert LastBuild(house, *ASKED).warnings() is None


def test_a_changed_setting_of_dbt_is_built(warehouse: Warehouse) -> None:
    with environment(KPI_MEMORY_LIMIT="1GB"):
        assert LastBuild(warehouse, *ASKED).warnings() is None
