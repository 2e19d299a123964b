"""What a digest says: found by date and not by place, judged by direction, the same in every form."""

import datetime as dt
import html
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
from digest_support import MONDAY, Figures, company
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.digest.chart import trends
from pipelines.digest.facts import Audience, Digest, Line
from pipelines.digest.html import page
from pipelines.digest.making import make_digest
from pipelines.digest.reading import Figures as Read
from pipelines.digest.reading import read_figures
from pipelines.digest.text import text
from pipelines.digest.wording import MOST_RESTATEMENTS, Statement, worded
from pipelines.errors import KpiError
from pipelines.warehouse import Warehouse

SINCE = dt.datetime(2026, 11, 16, 5, 10, tzinfo=dt.UTC)


def read(folder: Path, figures: Figures, audience: Audience = "internal", date: dt.date = MONDAY) -> Read:
    file = folder / "w.duckdb"
    figures.write(file)
    return read_figures(Warehouse("duckdb", file, "", "UTC"), audience, date, SINCE)


def made(found: Read, audience: Audience = "internal", date: dt.date = MONDAY, **changes: Any) -> Digest:
    return make_digest(
        changes.get("metrics", found.metrics),
        changes.get("points", found.points),
        changes.get("restated", found.restated),
        found.currency_decimals,
        date=date,
        audience=audience,
        compare_days=14,
        figures_at=found.figures_at,
        since=SINCE,
    )


def digest_of(
    folder: Path, figures: Figures, audience: Audience = "internal", date: dt.date = MONDAY
) -> Digest:
    return made(read(folder, figures, audience, date), audience, date)


def one(folder: Path, figures: Figures, date: dt.date = MONDAY) -> tuple[Line, Statement]:
    digest = digest_of(folder, figures, date=date)
    [line] = digest.lines
    [statement] = worded(digest).statements
    return line, statement


def test_the_latest_final_value_is_compared_with_the_period_14_days_earlier(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("users", target=500)
    figures.weeks("users", 398, 400, 405)
    figures.week("users", "2026-11-16", 421, "provisional")
    _, statement = one(tmp_path, figures)
    assert statement.sentences == (
        "405 (Nov 9 - Nov 15)",
        "Up 7 (+1.8%) from 398 (Oct 26 - Nov 1), which is good.",
        "Target 500: missed by 95.",
        "Nov 16 - Nov 22: 421 so far (provisional).",
    )


@pytest.mark.parametrize(
    ("is_row", "why"), [(False, ""), (True, " (missing: no load covers it)")], ids=["no row", "no value"]
)
def test_a_gap_is_named_and_the_day_before_it_does_not_stand_in(
    tmp_path: Path, is_row: bool, why: str
) -> None:
    figures = Figures()
    figures.metric("stars", value_type="gauge")
    for day, value in (("2026-11-06", 400), ("2026-11-08", 404), ("2026-11-21", 415), ("2026-11-22", 416)):
        figures.day("stars", day, value)
    if is_row:
        figures.day("stars", "2026-11-07", None, "missing")
    line, statement = one(tmp_path, figures, dt.date(2026, 11, 22))
    assert statement.value == "415 (Nov 21)"
    assert statement.comparison == f"No value for Nov 7{why} to compare with."
    assert line.change is None


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("withheld", "withheld for privacy"),
        ("undefined", "undefined: nothing to divide by"),
        ("broken", "broken: its source failed"),
        ("missing", "missing: no load covers it"),
    ],
)
def test_a_state_without_a_value_is_said_and_never_shown_as_0(tmp_path: Path, state: str, why: str) -> None:
    figures = Figures()
    figures.metric("users")
    figures.week("users", "2026-10-26", 0, state)
    figures.weeks("users", 405)
    figures.week("users", "2026-11-16", 0, state)
    _, statement = one(tmp_path, figures)
    assert statement.comparison == f"No value for Oct 26 - Nov 1 ({why}) to compare with."
    assert statement.newest == f"No value for Nov 16 - Nov 22 ({why})."


def test_a_period_that_nobody_built_is_missing_and_an_old_value_does_not_pass_for_new(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("stars", value_type="gauge")
    figures.day("stars", "2026-11-08", 404)
    _, statement = one(tmp_path, figures)
    assert statement.value == "404 (Nov 8)"
    assert statement.newest == "No value for Nov 22 (missing: no load covers it)."


def test_percentages_change_by_percentage_points_and_other_ratios_by_their_unit(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("rate", name="A", value_type="ratio", suffix="%")
    figures.weeks("rate", 88.22, 1, 89.46)
    figures.metric("tests_per_user", name="B", value_type="ratio")
    figures.weeks("tests_per_user", 2.0, 1, 2.5)
    first, second = worded(digest_of(tmp_path, figures)).statements
    assert first.comparison == "Up 1.2 percentage points from 88.2% (Oct 26 - Nov 1), which is good."
    assert second.comparison == "Up 0.50 (+25.0%) from 2.00 (Oct 26 - Nov 1), which is good."


@pytest.mark.parametrize(
    ("direction", "before", "after", "judgement"),
    [
        ("up", 1, 2, "good"),
        ("up", 2, 1, "bad"),
        ("down", 1, 2, "bad"),
        ("down", 2, 1, "good"),
        ("none", 1, 2, "neutral"),
        ("up", 2, 2, "neutral"),
    ],
)
def test_direction_says_what_is_good(
    tmp_path: Path, direction: str, before: int, after: int, judgement: str
) -> None:
    figures = Figures()
    figures.metric("errors", direction=direction)
    figures.weeks("errors", before, 9, after)
    line, statement = one(tmp_path, figures)
    assert line.change is not None
    assert (line.change.judgement, statement.judgement) == (judgement, judgement)
    assert (f"which is {judgement}" in statement.comparison) == (judgement != "neutral")


def test_a_change_from_0_has_no_percentage_and_one_from_below_0_has_its_sign(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("from_zero", name="A")
    figures.weeks("from_zero", 0, 1, 5)
    figures.metric("from_below", name="B", value_type="gauge")
    figures.weeks("from_below", -10, 1, 5)
    first, second = worded(digest_of(tmp_path, figures)).statements
    assert first.comparison == "Up 5 from 0 (Oct 26 - Nov 1), which is good."
    assert second.comparison == "Up 15 (+150.0%) from -10 (Oct 26 - Nov 1), which is good."


@pytest.mark.parametrize(
    ("direction", "said"),
    [("up", "Target 400: reached."), ("down", "Target 400: missed by 5."), ("none", "Target 400.")],
)
def test_a_target_is_reached_from_the_side_of_its_direction(
    tmp_path: Path, direction: str, said: str
) -> None:
    figures = Figures()
    figures.metric("users", target=400, direction=direction)
    figures.weeks("users", 405)
    assert one(tmp_path, figures)[1].target == said


def test_the_north_star_is_first_and_every_flagged_metric_has_a_line(tmp_path: Path) -> None:
    digest = digest_of(tmp_path, company())
    assert [line.key for line in digest.lines] == [
        "serious_users",
        "failed_tests",
        "success_rate",
        "stars",
        "paid_amount:eur",
        "paid_amount:jpy",
        "never_loaded",
    ]
    assert worded(digest).statements[-1].value == "No final value."


def test_currencies_stand_apart_with_their_own_decimals(tmp_path: Path) -> None:
    statements = {statement.key: statement for statement in worded(digest_of(tmp_path, company())).statements}
    assert statements["paid_amount:eur"].value == "795.15 EUR (Nov 9 - Nov 15)"
    assert statements["paid_amount:jpy"].value == "20,800 JPY (Nov 9 - Nov 15)"


def test_what_was_restated_since_the_last_digest_is_said_once_and_nothing_else(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("users")
    figures.weeks("users", 405)
    figures.restated("users", "2026-11-02", 412, 410, changed="2026-11-17T05:00Z")
    figures.restated("users", "2026-11-02", 410, 405, changed="2026-11-19T05:00Z")
    figures.restated("users", "2026-10-26", 300, 301, changed="2026-11-10T05:00Z")  # said last Monday
    figures.restated("users", "2026-10-19", 7, 8, shown="2026-11-18T05:00Z")  # never said
    figures.restated("users", "2026-10-12", 9, 10, changed="2026-11-18T05:00Z")
    figures.restated("users", "2026-10-12", 10, 9, changed="2026-11-19T05:00Z")  # as it was
    figures.restated("users", "2026-10-05", 6, None, states=("final", "withheld"))
    _, statement = one(tmp_path, figures)
    assert statement.restatements == (
        "Restated: for Nov 2 - Nov 8 we said 412; it is 405 now.",
        "Restated: for Oct 5 - Oct 11 we said 6; there is no value now (withheld for privacy).",
    )


def test_many_restatements_are_counted_not_dropped(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("users")
    figures.weeks("users", 405)
    for week in range(MOST_RESTATEMENTS + 3):
        figures.restated("users", (dt.date(2026, 11, 2) - dt.timedelta(weeks=week)).isoformat(), 1, 2)
    digest = digest_of(tmp_path, figures)
    [statement] = worded(digest).statements
    assert statement.restatements[-1] == "Restated besides: 3 older values."
    assert f"{MOST_RESTATEMENTS + 3} values were restated" in worded(digest).subtitle


def test_published_figures_come_from_the_published_tables_alone(tmp_path: Path) -> None:
    digest = digest_of(tmp_path, company(), "published")
    assert "paid_amount" not in {line.metric.metric_key for line in digest.lines}
    statements = worded(digest).statements
    assert statements[0].comparison == "Up 10 (+2.5%) from 400 (Oct 26 - Nov 1), which is good."
    assert [statement.value for statement in statements[1:]] == ["No final value."] * 4
    everything = text(worded(digest)) + str(trends(digest) or "")
    assert not [exact for exact in ("405", "398", "412", "418", "1,312", "89.") if exact in everything]


def test_a_published_period_that_is_not_released_yet_says_so(tmp_path: Path) -> None:
    digest = digest_of(tmp_path, company(), "published")
    [first, *_] = worded(digest).statements
    assert first.newest == "No value for Nov 16 - Nov 22 (not released yet)."
    assert "what was released does not change" in worded(digest).subtitle
    assert "restated" not in worded(digest).subtitle


def test_what_has_months_only_is_compared_with_the_month_before(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("churn", value_type="ratio", suffix="%", direction="down")
    for start, value, state in (
        ("2026-08-01", 4.0, "final"),
        ("2026-09-01", 5.5, "final"),
        ("2026-10-01", 3.0, "provisional"),
        ("2026-11-01", 1.0, "provisional"),
    ):
        figures.month("churn", start, value, state)
    _, statement = one(tmp_path, figures)
    assert statement.sentences == (
        "5.5% (Sep 1 - Sep 30)",
        "Up 1.5 percentage points from 4.0% (Aug 1 - Aug 31), which is bad.",
        "Oct 1 - Oct 31: 3.0% so far (provisional).",
    )
    chart = trends(digest_of(tmp_path, figures))
    assert chart is not None
    assert "from 4.0% (Aug 1 - Aug 31) to 3.0% (Oct 1 - Oct 31)." in chart.alt_text


def test_what_is_counted_by_currency_is_no_money(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("paying_customers", value_type="gauge")
    figures.weeks("paying_customers", 65, 68, 70, dimension="eur")
    [statement] = worded(digest_of(tmp_path, figures)).statements
    assert statement.title == "Paying customers, EUR"
    assert statement.value == "70 (Nov 9 - Nov 15)"


def test_targets_and_owners_stay_in_the_company(tmp_path: Path) -> None:
    figures = company()
    figures.metrics[0] |= {"target": 54321, "owner": "Ana"}
    digest = digest_of(tmp_path, figures, "published")
    assert digest.lines[0].metric.target is None
    assert digest.lines[0].metric.owner == ""
    assert "54,321" not in text(worded(digest))


def test_values_of_any_size_are_written_and_what_is_no_number_is_broken(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("huge", name="A", value_type="gauge")
    figures.weeks("huge", 1e300, 1, -1e300)
    figures.metric("odd", name="B")
    figures.weeks("odd", float("inf"), 1, 5)
    figures.week("odd", "2026-11-16", float("nan"))
    huge, odd = worded(digest_of(tmp_path, figures)).statements
    assert huge.value.startswith("-1,000,000,000,")
    assert odd.sentences[1:] == (
        "No value for Oct 26 - Nov 1 (broken: its source failed) to compare with.",
        "No value for Nov 16 - Nov 22 (broken: its source failed).",
    )


def test_without_published_figures_internal_ones_do_not_stand_in(tmp_path: Path) -> None:
    figures = company()
    figures.published = []
    with pytest.raises(KpiError, match=r"kpi_metrics\.metric_data holds no figure"):
        digest_of(tmp_path, figures, "published")


def test_an_empty_catalogue_and_an_empty_warehouse_say_what_to_do(tmp_path: Path) -> None:
    figures = Figures()
    with pytest.raises(KpiError, match="holds no metric for the digest"):
        digest_of(tmp_path, figures)
    figures.metric("users")
    with pytest.raises(KpiError, match="holds no figure"):
        digest_of(tmp_path, figures)


def test_every_form_says_every_sentence(tmp_path: Path) -> None:
    digest = digest_of(tmp_path, company())
    wording = worded(digest)
    chart = trends(digest)
    plain = " ".join(text(wording).split())
    shown = html.unescape(re.sub(r"<[^>]+>", "\n", page(wording, chart)))
    for sentence in itertools.chain.from_iterable(
        (statement.title, *statement.sentences) for statement in wording.statements
    ):
        assert sentence in plain
        assert sentence in shown
    assert chart is not None
    assert html.escape(chart.alt_text) in page(wording, chart)


def test_names_are_text_in_a_page_and_not_markup(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("users", name="<script>alert('x')</script> & co")
    figures.weeks("users", 1)
    shown = page(worded(digest_of(tmp_path, figures)), None)
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown


def test_the_picture_is_the_same_for_the_same_facts_and_shows_gaps(tmp_path: Path) -> None:
    digest = digest_of(tmp_path, company())
    first, second = trends(digest), trends(digest)
    assert first is not None
    assert second is not None
    assert first.png == second.png
    assert first.png.startswith(b"\x89PNG")
    assert "Paid, EUR: from 800.50 EUR (Oct 26 - Nov 1) to 795.15 EUR (Nov 9 - Nov 15)." in first.alt_text
    figures = Figures()
    figures.metric("users")
    figures.weeks("users", 1, None, None, 4)
    holed = trends(digest_of(tmp_path, figures))
    assert holed is not None
    assert "2 without a value" in holed.alt_text


def test_the_picture_shows_each_metric_before_a_second_currency_of_any(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("amount", name="A", value_type="amount")
    for currency in ("aed", "chf", "eur", "jpy", "usd"):
        figures.weeks("amount", 1, 2, dimension=currency)
    for number in range(10):
        figures.metric(f"users_{number}")
        figures.weeks(f"users_{number}", 1, 2)
    chart = trends(digest_of(tmp_path, figures))
    assert chart is not None
    assert "12 of 15 figures" in chart.alt_text
    assert all(f"Users {number}: from" in chart.alt_text for number in range(10))
    assert "A, AED: from" in chart.alt_text
    assert "A, EUR: from" not in chart.alt_text


def test_a_digest_without_any_value_has_no_picture(tmp_path: Path) -> None:
    figures = Figures()
    figures.metric("users")
    figures.weeks("users", None, None)
    assert trends(digest_of(tmp_path, figures)) is None


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_says_nothing(shared: Read, random: Any) -> None:
    points, restated = list(shared.points), list(shared.restated)
    random.shuffle(points)
    random.shuffle(restated)
    assert made(shared, points=points, restated=restated) == made(shared)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """The rows of the small company."""
    return read(tmp_path_factory.mktemp("digest"), company())
