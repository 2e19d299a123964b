"""What the ledger releases is what the reference in Python says, at once or period by period."""

import datetime as dt
from collections.abc import Mapping

import pytest
from dbt_support import invoke
from incremental_support import Row, Shop
from privacy_support import B, Leaf, Publication, Sizes, Truth, protect, protected_users

from pipelines.privacy.floors import is_floored
from pipelines.privacy.leaves import LeafKey

REPORT_DATE = dt.date(2026, 2, 12)
DAYS = (REPORT_DATE - dt.date(2026, 1, 1)).days - 1
COMPANIES = (
    Sizes(users=25, activity=0.95, attempts=2, failing=0.1, days=DAYS),
    Sizes(users=18, activity=0.95, attempts=6, failing=0.9, days=DAYS),
    Sizes(users=12, activity=0.9, attempts=1, failing=0.3, days=DAYS),
    Sizes(users=60, activity=0.3, attempts=3, failing=0.5, days=DAYS),
    Sizes(users=400, activity=0.2, days=DAYS),
)
"""Small ones whose users come every day, so that weeks have to be lifted; and ordinary ones."""
FIGURES = "select family, grain, period_start_date, cell, value from kpi_metrics.release_ledger"


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A warehouse that needs nothing but leaves to release."""
    shop = Shop(tmp_path_factory.mktemp("ready"))
    instant = dt.datetime(2025, 12, 1, tzinfo=dt.UTC)
    event = ("e1", "page_viewed", "app", None, None, None, None, None, False, instant, instant)
    shop.load("1", [event])
    shop.execute("insert into raw_events.key_fingerprints values ('user', 'record', now(), '1')")
    shop.seed()
    shop.build(dt.date(2025, 12, 2), select=["+release_ledger"])
    return shop


def release(shop: Shop, report_date: dt.date) -> None:
    """Release what can be at a day, back to the first day of the month before it."""
    arguments = ["run", "--select", "report_dates", "release_ledger"]
    invoke(shop.warehouse, [*arguments, "--vars", f"{{report_date: {report_date}, report_periods: 0}}"])


def measure(shop: Shop, truth: Truth) -> None:
    """Put the leaves of a made-up company in the place of those of the warehouse, of which nothing is released yet."""
    rows: list[Row] = [
        (*key, leaf.units, len(leaf.users), leaf.contributors_key)
        for key, leaf in truth.items()
        if key.cell != "base"
    ]
    values = ", ".join(str((key[0], key[1], f"{key[2]}", *key[3:])) for key in rows)
    shop.execute(
        "drop view if exists intermediate.int_leaves; drop table if exists intermediate.int_leaves;"
        " create table intermediate.int_leaves as select family, grain, period_start_date::date as period_start_date,"
        f" cell, units, users, contributors_key from (values {values}) as leaves"
        " (family, grain, period_start_date, cell, units, users, contributors_key);"
        " delete from kpi_metrics.release_ledger"
    )


def released(shop: Shop) -> dict[LeafKey, int | None]:
    return {LeafKey(*key): value for *key, value in shop.execute(FIGURES)}


@pytest.mark.parametrize("number", range(len(COMPANIES)))
def test_what_is_released_is_what_the_reference_says(ready: Shop, number: int) -> None:
    shop = ready.copy(f"company {number}")
    publication = Publication.honest(number, COMPANIES[number])
    measure(shop, publication.truth)
    release(shop, REPORT_DATE)
    assert unlike(publication.shown, shop) == {}


@pytest.mark.parametrize(
    ("attempts", "failing", "lifted"),
    [(20, 0.5, {"success", "0", "1", "3_to_5", "6_or_more"}), (2, 0.9, {"success", "other", "0", "1", "2"})],
)
def test_weeks_of_people_who_were_erased_show_what_their_days_need(
    ready: Shop, attempts: int, failing: float, lifted: set[str]
) -> None:
    shop = ready.copy(f"erased {attempts}")
    honest = Publication.honest(5, Sizes(users=300, attempts=attempts, failing=failing, days=DAYS))
    truth = {
        key: Leaf(len(left), left)
        if is_floored(key) and len(left := set(sorted(leaf.users)[::6])) < len(leaf.users)
        else leaf
        for key, leaf in honest.truth.items()
    }
    shown = protect(truth, honest.shown)
    figures = {key: protected_users(truth.get(key, Leaf())) for key in shown if is_floored(key)}
    assert {key.cell for key, figure in figures.items() if (shown[key] or 0) > figure + B} == lifted
    measure(shop, truth)
    release(shop, REPORT_DATE)
    assert unlike(shown, shop) == {}


def unlike(shown: Mapping[LeafKey, int | None], shop: Shop) -> dict[str, tuple[int | None, int | None]]:
    """Give the figures that are released otherwise than they should be, as they are and as they should."""
    found = released(shop)
    return {
        str(key): (found.get(key), value)
        for key, value in shown.items()
        if key.cell != "base" and found.get(key) != value
    }


def test_released_period_by_period_it_is_the_same(ready: Shop) -> None:
    publication = Publication.honest(0, COMPANIES[0])
    at_once, step_by_step = ready.copy("at once"), ready.copy("step by step")
    measure(at_once, publication.truth)
    release(at_once, REPORT_DATE)
    measure(step_by_step, publication.truth)
    for report_date in (dt.date(2026, 1, 9), dt.date(2026, 1, 14), dt.date(2026, 2, 4), REPORT_DATE):
        release(step_by_step, report_date)
    later = {key: value for key, value in released(step_by_step).items() if key.start >= dt.date(2026, 1, 1)}
    assert later == {key: value for key, value in released(at_once).items() if key.cell != "base"}
