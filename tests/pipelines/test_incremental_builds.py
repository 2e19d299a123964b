"""Built step by step, in whatever order and however often interrupted, the marts say what one full refresh says."""

import datetime as dt
import random
from pathlib import Path

import pytest
from incremental_support import FIRST_DAY, MODELS, Row, Shop, lines_of_day


def day(number: int) -> dt.date:
    return FIRST_DAY + dt.timedelta(days=number)


def history(seed: int, days: int) -> list[list[Row]]:
    chance, known = random.Random(seed), []  # type: ignore[var-annotated]
    return [lines_of_day(chance, day(number), known) for number in range(days)]


def assert_equal_to_full_refresh(shop: Shop, report_date: dt.date) -> None:
    refreshed = shop.copy(f"refreshed_{len(list(shop.folder.iterdir()))}")
    refreshed.build(report_date, full_refresh=True)
    assert_same(shop, refreshed)


def assert_same(shop: Shop, other: Shop) -> None:
    others = other.marts()
    for mart, rows in shop.marts().items():
        different = (
            [row for row in rows if row not in others[mart]],
            [row for row in others[mart] if row not in rows],
        )
        assert different == ([], []), mart


def test_day_by_day_is_the_same_as_at_once(tmp_path: Path) -> None:
    timezone = "America/New_York"
    shop, days = Shop(tmp_path, timezone), history(1, 5)
    shop.seed()
    for number, lines in enumerate(days):
        shop.load(str(number), lines)
        shop.build(day(number))
    shop.build(day(4), tested=True)
    assert_equal_to_full_refresh(shop, day(4))
    assert len(shop.marts()["daily_engagement"]) == 12 * 5

    at_once = Shop(tmp_path / "at_once", timezone)
    at_once.seed()
    for number, lines in enumerate(days):
        at_once.load(str(number), lines)
    at_once.build(day(4), backfill_from=day(0))
    assert_same(shop, at_once)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(1, 12))])
def test_a_run_may_be_killed_after_any_model(tmp_path: Path, seed: int) -> None:
    shop, chance = Shop(tmp_path), random.Random(seed)
    shop.seed()
    days = history(100 + seed, 6)
    order = chance.sample(range(6), 6)
    shop.load(str(order[0]), days[order[0]])
    shop.build(day(6))
    for number in order[1:]:
        shop.load(str(number), days[number], repeated=chance.random() < 0.3)
        shop.build(day(6 + number), select=list(MODELS[: chance.randrange(9, len(MODELS))]))
    shop.build(day(12))
    assert_equal_to_full_refresh(shop, day(12))


@pytest.mark.parametrize("kills", [2, pytest.param(100, marks=pytest.mark.soak)])
def test_the_process_may_be_killed_at_any_moment(tmp_path: Path, kills: int) -> None:
    shop, chance = Shop(tmp_path), random.Random(kills)
    shop.seed()
    days, longest, loaded = history(11, 7), 8.0, 0
    for number in range(kills):
        if loaded < len(days) and number * len(days) >= loaded * kills:
            shop.load(str(loaded), days[loaded])
            loaded += 1
        if not shop.build_and_kill(day(loaded), longest * chance.uniform(0.4, 1)):
            longest *= 0.9
    shop.build(day(7))
    assert_equal_to_full_refresh(shop, day(7))


def test_a_load_that_was_cut_off_counts_once_it_is_complete(tmp_path: Path) -> None:
    shop, days = Shop(tmp_path), history(7, 3)
    shop.seed()
    shop.load("0", days[0])
    shop.load("1", days[1], completed=False)
    shop.build(day(2))
    assert sum(lines for *_, lines in shop.marts()["event_fates"]) == len(days[0])
    assert_equal_to_full_refresh(shop, day(2))

    shop.load("2", days[2])
    shop.build(day(2))
    shop.load("1", days[1])
    shop.build(day(2), tested=True)
    assert sum(lines for *_, lines in shop.marts()["event_fates"]) == sum(map(len, days))
    assert_equal_to_full_refresh(shop, day(2))


def test_a_second_build_changes_nothing_but_the_time(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.seed()
    shop.load("0", history(8, 1)[0])
    shop.build(day(0))
    before = shop.marts()
    stored = "select (select sum(version) from intermediate.int_user_days), (select sum(batch) from intermediate.int_event_arrivals)"
    versions = shop.execute(stored)
    shop.build(day(0))
    assert shop.marts() == before
    assert shop.execute(stored) == versions


def test_one_model_alone_may_be_made_anew(tmp_path: Path) -> None:
    models = (
        "int_event_arrivals",
        "int_load_days",
        "int_user_days",
        "int_sessions",
        "int_users",
        "int_period_users",
    )
    shop, days = Shop(tmp_path), history(9, len(models) + 1)
    shop.seed()
    shop.load("0", days[0])
    shop.build(day(1))
    for number, model in enumerate(models, 1):
        shop.load(str(number), days[number])
        shop.build(day(1), full_refresh=True, select=[model])
        if number % 2:
            shop.build(day(2))
    shop.build(day(2))
    assert_equal_to_full_refresh(shop, day(2))


def test_another_reporting_zone_or_another_plan_rebuilds_everything(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.seed()
    shop.load("0", history(10, 1)[0])
    shop.build(day(1))
    for change in (
        "select 1",
        "delete from seeds.event_roles where event_key = 'account_created'",
        "update seeds.error_types set column_name = 'camera_too_close' where error_code = 'camera_too_far'",
    ):
        before = shop.marts()
        shop.execute(change)
        shop = Shop(tmp_path, "Pacific/Auckland")
        shop.build(day(1))
        assert shop.marts() != before
        assert_equal_to_full_refresh(shop, day(1))
