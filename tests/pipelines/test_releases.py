"""A released figure never changes, whatever comes later; nothing is released a second time."""

import datetime as dt
import itertools
import os
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt_support import invoke
from incremental_support import Row, Shop
from kill_support import at_statements, killed_in

from pipelines.privacy.reference import Rounding, contributors_key, protected_events

FIRST_DAY = dt.date(2026, 3, 2)
REPORT_DATE = dt.date(2026, 3, 12)
SELECTED = ["+published_daily_engagement", "+published_weekly_engagement", "+published_weekly_errors"]
LEDGER = "select * from kpi_metrics.release_ledger order by all"
LEAVES = (
    "int_engagement_user_leaves",
    "int_error_bucket_leaves",
    "int_account_leaves",
    "int_test_leaves",
    "int_session_leaves",
    "int_error_leaves",
    "int_leaves",
)
TABLES = (
    "intermediate.int_user_days",
    "intermediate.int_users",
    "intermediate.int_test_days",
    "intermediate.int_sessions",
    "intermediate.int_error_days",
    "intermediate.report_dates",
    "seeds.error_types",
    "staging.stg_events__key_fingerprints",
)


def lines(chance: random.Random, day: dt.date, tests: int, record_key_offset: int = 0) -> list[Row]:
    """Tests and new accounts of one day, of about a hundred users; some events are nobody's."""
    found: list[Row] = []
    for _ in range(tests):
        number = chance.randrange(120)
        user = None if chance.random() < 0.05 else f"user {number}"
        failed = chance.random() < 0.4
        account = user is not None and chance.random() < 0.15
        occurred_at = dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(
            seconds=chance.randrange(86_000)
        )
        found.append(
            (
                f"e{chance.getrandbits(60)}",
                "account_created" if account else "test_completed",
                "app",
                user,
                None if user is None else random.Random(number + record_key_offset).getrandbits(60),
                chance.choice((None, f"{day}", f"{day} again")),
                None if account else ("error" if failed else "success"),
                chance.choice(("camera_too_far", "analysis_error", "unheard_of")) if failed else None,
                False,
                occurred_at,
                occurred_at,
            )
        )
    return found


def fingerprint(shop: Shop, load_id: str, record_key: str) -> None:
    shop.execute(
        f"insert into raw_events.key_fingerprints values ('user', '{record_key}', now(), '{load_id}')"
    )


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A warehouse with ten days of events and what was released of them."""
    shop = Shop(tmp_path_factory.mktemp("released"))
    chance = random.Random(3)
    shop.load("1", [line for day in range(10) for line in lines(chance, FIRST_DAY + dt.timedelta(day), 200)])
    fingerprint(shop, "1", "first")
    shop.seed()
    shop.build(REPORT_DATE, select=SELECTED)
    return shop


def test_whatever_comes_later_no_released_row_changes(released: Shop) -> None:
    shop = released.copy("later")
    before = shop.execute(LEDGER)
    assert len(before) > 1000
    assert max(row[2] for row in before if row[1] == "day") == REPORT_DATE - dt.timedelta(2)
    chance = random.Random(4)
    # Late events for released days, a user erased, another record key, other parameters, all made anew.
    late = [line for day in range(10) for line in lines(chance, FIRST_DAY + dt.timedelta(day), 50, 1000)]
    shop.load("2", [*late, *lines(chance, FIRST_DAY + dt.timedelta(10), 200, 1000)])
    fingerprint(shop, "2", "second")
    shop.execute("delete from raw_events.events where user_key = 'user 7'")
    invoke(
        shop.warehouse,
        [
            *("--quiet", "run", "--full-refresh", "--select", *SELECTED),
            *("--vars", "{report_date: 2026-03-13, privacy_threshold: 20, privacy_base: 10}"),
        ],
    )
    after = shop.execute(LEDGER)
    assert [row for row in after if row in set(before)] == before
    added = [row for row in after if row not in set(before)]
    assert {(row[1], row[2]) for row in added} == {("day", REPORT_DATE - dt.timedelta(1))}
    assert {row[6] for row in added} == {"second"}
    assert {row[6] for row in before} == {"first"}
    assert {row[5] for row in added}.isdisjoint({row[5] for row in before})
    [reports] = shop.execute("select count(distinct report_date) from kpi_metrics.daily_engagement")
    assert reports == (2,)


RELEASE = (
    "release_parameters",
    "release_ledger",
    "int_released_periods",
    "int_released_reports",
    "int_published_engagements",
    "int_published_errors",
    "published_daily_engagement",
    "published_weekly_engagement",
    "published_weekly_errors",
)
NEXT_DATE = REPORT_DATE + dt.timedelta(1)
PUBLISHED = ("daily_engagement", "weekly_engagement", "weekly_errors")


def published_now(shop: Shop) -> dict[str, Any]:
    """What stands in the schema that everybody may read, without the instants of builds."""
    found = {
        mart: shop.execute(f"select * exclude (created_at) from kpi_metrics.{mart} order by all")
        for mart in PUBLISHED
    }
    found["release_ledger"] = shop.execute(
        "select * exclude (released_at) from kpi_metrics.release_ledger order by all"
    )
    return found | {
        "release_parameters": shop.execute(
            "select * exclude (first_used_at) from kpi_metrics.release_parameters order by all"
        )
    }


def release(shop: Shop) -> None:
    variables = f"{{report_date: {NEXT_DATE}, privacy_threshold: 20, privacy_base: 10}}"
    invoke(shop.warehouse, ["run", "--threads", "1", "--select", *RELEASE, "--vars", variables])


@pytest.fixture(scope="module")
def ready(released: Shop) -> Shop:
    """The same a day later, with new parameters: everything is built but what is released and published."""
    shop = released.copy("ready")
    shop.load("2", lines(random.Random(4), FIRST_DAY + dt.timedelta(10), 200))
    invoke(
        shop.warehouse,
        [
            *("run", "--select", "+release_ledger", "--exclude", *RELEASE),
            *("--vars", f"{{report_date: {NEXT_DATE}}}"),
        ],
    )
    return shop


@pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")
@pytest.mark.parametrize("stride", [14, pytest.param(1, marks=pytest.mark.soak)])
def test_a_release_that_is_killed_anywhere_ends_as_one_that_is_not(ready: Shop, stride: int) -> None:
    plain = ready.copy(f"plain {stride}")
    before, instants = published_now(plain), set(plain.execute(LEDGER))
    release(plain)
    after = published_now(plain)
    assert len(after["release_ledger"]) > len(before["release_ledger"])
    seen = set()
    for number in itertools.count(1, stride):
        shop = ready.copy(f"killed {stride} {number}")
        # Before a statement, or in the middle of it.
        late = 0.01 * (number % 3)
        if not killed_in(lambda shop=shop: release(shop), at_statements("kpi_metrics"), number, late):  # type: ignore[misc]
            break
        torn = published_now(shop)
        for table, rows in torn.items():
            assert rows in (before[table], after[table]), (number, table)
        seen.add(torn["release_ledger"] == after["release_ledger"])
        kept = set(shop.execute(LEDGER))
        assert instants <= kept
        release(shop)
        assert published_now(shop) == after, number
        assert kept <= set(shop.execute(LEDGER)), number
        shop.warehouse.duckdb_path.unlink()
    # Some were killed before the release was written, and some after it.
    assert seen == {False, True}


def test_what_comes_too_late_is_counted_once_a_month_and_protected(released: Shop) -> None:
    shop = released.copy("too late")
    # As if it had been released on its day.
    shop.execute(f"update kpi_metrics.release_ledger set released_at = '{REPORT_DATE} 05:00:00+00'")
    chance = random.Random(6)
    many = [line for day in range(3) for line in lines(chance, FIRST_DAY + dt.timedelta(day), 40)]
    few = [line for line in lines(chance, FIRST_DAY, 30) if line[3] is None or int(line[3][5:]) < 20][:7]
    # Loads have the numbers of days since the end of January: these come in March and in April.
    shop.load("45", [*many, *lines(chance, dt.date(2026, 3, 14), 60)])
    shop.load("80", few)
    shop.build(dt.date(2026, 5, 3), select=["+release_ledger"])
    found = shop.execute(
        "select period_start_date, value from kpi_metrics.release_ledger"
        " where family = 'late_events' and period_start_date >= '2026-02-01' order by 1"
    )
    users = {line[3]: line[4] for line in many}
    assert len(users) > Rounding().threshold > len({line[3] for line in few})
    key = contributors_key(record_key for record_key in users.values() if record_key is not None)
    counted = protected_events(Rounding(), len(many), len(users), key)
    assert counted is not None
    assert abs(counted - len(many)) < Rounding().base
    assert found == [
        (dt.date(2026, 2, 1), None),
        (dt.date(2026, 3, 1), counted),
        (dt.date(2026, 4, 1), None),
    ]


def test_a_second_build_of_the_same_day_releases_nothing(released: Shop) -> None:
    shop = released.copy("again")
    before = shop.execute(LEDGER)
    shop.build(REPORT_DATE, select=["release_ledger"])
    assert shop.execute(LEDGER) == before


def test_what_an_export_shows_is_not_measured_again_where_the_ledger_is_lost(released: Shop) -> None:
    shop = released.copy("lost")
    export = shop.folder / "exports" / "2026-03-12"
    export.mkdir(parents=True)
    shop.execute(f"copy kpi_metrics.release_ledger to '{export}/release_ledger.parquet'")
    # What a killed kpi publish leaves is no export.
    half = shop.folder / "exports" / ".2026-03-13.writing"
    half.mkdir()
    (half / "release_ledger.parquet").write_bytes(b"PAR1")
    shop.build(REPORT_DATE, select=["release_ledger"])
    shop.execute("drop table kpi_metrics.release_ledger")
    with pytest.raises(AssertionError, match="kpi privacy restore"):
        shop.build(REPORT_DATE, select=["release_ledger"])
    [there] = shop.execute(
        "select count(*) from information_schema.tables where table_name = 'release_ledger'"
    )
    assert there == (0,)


@pytest.mark.parametrize("runs", [20, pytest.param(200, marks=pytest.mark.soak)])
def test_a_release_depends_on_neither_the_order_of_rows_nor_the_number_of_threads(
    released: Shop, runs: int
) -> None:
    shop = released.copy(f"shuffled {runs} times")
    shop.execute("drop table kpi_metrics.release_ledger")
    # A release that goes back two months only is as good, and made many times in less time.
    invoke(
        shop.warehouse,
        [
            *("--quiet", "run", "--select", *LEAVES, "release_ledger"),
            *("--vars", f"{{report_date: {REPORT_DATE}, report_periods: 0}}"),
        ],
    )
    compiled = shop.warehouse.state_folder / "dbt" / "compiled" / "kpi" / "models"
    expected = sorted((row[:6] for row in shop.execute(LEDGER)), key=repr)
    figures = "select family, grain, period_start_date, cell, value, parameters_id"
    for number in range(runs):
        found = _measured(shop, compiled, figures, seed=number, threads=(1, 2, 8)[number % 3])
        assert sorted(found, key=repr) == expected, f"run {number}"


def _measured(shop: Shop, compiled: Path, figures: str, *, seed: int, threads: int) -> list[Any]:
    """Run the SQL of leaves and ledger over the same rows in another order, in a database of its own."""
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("attach ':memory:' as shop")
        connection.execute(f"attach '{shop.warehouse.duckdb_path}' as stored (read_only)")
        for schema in ("intermediate", "seeds", "staging", "kpi_metrics"):
            connection.execute(f"create schema shop.{schema}")
        for table in TABLES:
            connection.execute(
                f"create table shop.{table} as select * from stored.{table} order by hash(rowid + {seed} * 7919)"
                if not table.startswith("staging")
                else f"create table shop.{table} as select record_key as record_key_id, loaded_at from stored.raw_events.key_fingerprints"
            )
        for name in LEAVES:
            text = (compiled / "intermediate" / "leaves" / f"{name}.sql").read_text(encoding="utf-8")
            connection.execute(f"create view shop.intermediate.{name} as {text}")
        ledger = (compiled / "marts" / "published" / "release_ledger.sql").read_text(encoding="utf-8")
        return connection.execute(f"{figures} from ({ledger})").fetchall()
