"""Make the facts of a digest from rows: pure functions, no warehouse and no clock.

Everything is found by its date, never by its place among the rows: a period that is not there is a gap, and the
period before the gap does not stand in for it.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipelines.digest.facts import (
    Audience,
    Change,
    Digest,
    Direction,
    Grain,
    Judgement,
    Line,
    Metric,
    Point,
    Restatement,
    State,
)
from pipelines.privacy.periods import period_before, period_end, period_start

TREND_PERIODS = 12
_PREFERRED: tuple[Grain, ...] = ("week", "day", "month")
"""What a line shows: weeks where there are any, and months only of what has nothing shorter."""


@dataclass(frozen=True)
class Restated:
    """One row of metric_restatements."""

    metric_key: str
    grain: Grain
    dimension: str
    start: dt.date
    before: Decimal | None
    after: Decimal | None
    state_before: State
    state_after: State
    first_shown_at: dt.datetime
    changed_at: dt.datetime


def make_digest(
    metrics: Sequence[Metric],
    points: Iterable[Point],
    restated: Iterable[Restated],
    currency_decimals: Mapping[str, int],
    *,
    date: dt.date,
    audience: Audience,
    compare_days: int,
    figures_at: dt.datetime,
    since: dt.datetime,
) -> Digest:
    """Make the digest of a date from the metrics flagged for it; only periods that ended before the date count.

    Every metric has a line, also one without any row; an amount has one for each currency. For the audience
    `published` metrics that are not published have none, and the others neither target nor owner.
    """
    shown = [metric for metric in metrics if audience == "internal" or metric.audience == "published"]
    if audience == "published":
        # What is aimed at, and by whom, is no published figure.
        shown = [replace(metric, target=None, owner="") for metric in shown]
    shown.sort(key=lambda metric: not metric.is_north_star)
    by_metric: dict[str, list[Point]] = defaultdict(list)
    for point in points:
        if point.end < date:
            by_metric[point.metric_key].append(point)
    changes: dict[tuple[str, str, str], list[Restated]] = defaultdict(list)
    for row in restated:
        if row.first_shown_at <= since < row.changed_at:
            changes[row.metric_key, row.grain, row.dimension].append(row)
    lines = []
    for metric in shown:
        rows = by_metric[metric.metric_key]
        there = {point.grain for point in rows}
        grain: Grain = next((found for found in _PREFERRED if found in there), "day")
        rows = [point for point in rows if point.grain == grain]
        for dimension in sorted({point.dimension for point in rows}) or [""]:
            of_line = {point.start: point for point in rows if point.dimension == dimension}
            lines.append(
                _line(
                    metric,
                    dimension,
                    grain,
                    of_line,
                    currency_decimals.get(dimension, 2),
                    date,
                    compare_days,
                    changes[metric.metric_key, grain, dimension],
                    "missing" if audience == "internal" else "unreleased",
                )
            )
    return Digest(date, audience, compare_days, figures_at, since, tuple(lines))


def _line(
    metric: Metric,
    dimension: str,
    grain: Grain,
    points: Mapping[dt.date, Point],
    amount_decimals: int,
    date: dt.date,
    compare_days: int,
    restated: Iterable[Restated],
    absent: State,
) -> Line:
    ordered = [points[start] for start in sorted(points)]
    current = next((point for point in reversed(ordered) if point.state == "final"), None)
    newest = _newest(metric, dimension, grain, points, date, absent) if ordered else None
    start = _earlier(grain, current.start, compare_days) if current else None
    earlier = points.get(start) if start else None
    return Line(
        metric=metric,
        dimension=dimension,
        decimals=_decimals(metric, amount_decimals, _trend(ordered, grain)),
        grain=grain,
        current=current,
        newest=newest if newest != current else None,
        earlier=earlier,
        earlier_start=start,
        earlier_end=period_end(grain, start) if start else None,
        change=_change(metric, current, earlier),
        trend=_trend(ordered, grain),
        restatements=_restatements(restated, grain),
    )


def _newest(
    metric: Metric,
    dimension: str,
    grain: Grain,
    points: Mapping[dt.date, Point],
    date: dt.date,
    absent: State,
) -> Point:
    """Give the last period that was over before the date; one without a row has the state `absent`."""
    start = period_before(grain, period_start(grain, date))
    none = Point(metric.metric_key, grain, dimension, start, period_end(grain, start), None, absent)
    return points.get(start, none)


def _earlier(grain: Grain, start: dt.date, compare_days: int) -> dt.date:
    """Give the first day of the period to compare with."""
    return period_before(grain, start) if grain == "month" else start - dt.timedelta(days=compare_days)


def _trend(ordered: Sequence[Point], grain: Grain) -> tuple[Point, ...]:
    if not ordered:
        return ()
    first = ordered[-1].start
    for _ in range(TREND_PERIODS - 1):
        first = period_before(grain, first)
    return tuple(point for point in ordered if point.start >= first)


def _decimals(metric: Metric, amount_decimals: int, points: Iterable[Point]) -> int:
    if metric.value_type == "amount":
        return amount_decimals
    if metric.value_type == "count":
        return 0
    if is_percentage(metric):
        return 1
    values = [point.value for point in points if point.value is not None]
    return 0 if values and all(value == value.to_integral_value() for value in values) else 2


def is_percentage(metric: Metric) -> bool:
    """Whether a metric is a ratio in per cent, whose change is told in percentage points."""
    return metric.value_type == "ratio" and metric.suffix.strip() == "%"


def _change(metric: Metric, current: Point | None, earlier: Point | None) -> Change | None:
    if current is None or earlier is None or current.value is None or earlier.value is None:
        return None
    difference = current.value - earlier.value
    relative = None
    if earlier.value != 0 and not is_percentage(metric):
        relative = 100 * difference / abs(earlier.value)
    return Change(difference, relative, _judgement(metric.direction, difference))


def _judgement(direction: Direction, difference: Decimal) -> Judgement:
    if direction == "none" or difference == 0:
        return "neutral"
    return "good" if (difference > 0) == (direction == "up") else "bad"


def _restatements(rows: Iterable[Restated], grain: Grain) -> tuple[Restatement, ...]:
    """Join all changes of one period into one: what was said first, and what holds now."""
    by_start: dict[dt.date, list[Restated]] = defaultdict(list)
    for row in rows:
        by_start[row.start].append(row)
    joined = []
    for start in sorted(by_start, reverse=True):
        history = sorted(by_start[start], key=lambda row: row.changed_at)
        first, last = history[0], history[-1]
        if (first.before, first.state_before) != (last.after, last.state_after):
            end = period_end(grain, start)
            joined.append(
                Restatement(start, end, first.before, last.after, first.state_before, last.state_after)
            )
    return tuple(joined)
