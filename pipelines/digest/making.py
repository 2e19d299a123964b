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

TREND_PERIODS = 12
DAYS: Mapping[Grain, int] = {"day": 1, "week": 7}


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
        grain: Grain = "week" if any(point.grain == "week" for point in rows) else "day"
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
    start = current.start - dt.timedelta(days=compare_days) if current else None
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
        earlier_end=start + dt.timedelta(days=DAYS[grain] - 1) if start else None,
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
    start = date - dt.timedelta(days=1)
    if grain == "week":
        start = date - dt.timedelta(days=7 + date.weekday())
    end = start + dt.timedelta(days=DAYS[grain] - 1)
    return points.get(start, Point(metric.metric_key, grain, dimension, start, end, None, absent))


def _trend(ordered: Sequence[Point], grain: Grain) -> tuple[Point, ...]:
    if not ordered:
        return ()
    first = ordered[-1].start - dt.timedelta(days=DAYS[grain] * (TREND_PERIODS - 1))
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
            end = start + dt.timedelta(days=DAYS[grain] - 1)
            joined.append(
                Restatement(start, end, first.before, last.after, first.state_before, last.state_after)
            )
    return tuple(joined)
