"""What a digest says, without a word of markup: values, comparisons, judgements, restatements."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

Grain = Literal["day", "week", "month"]
Audience = Literal["internal", "published"]
State = Literal["final", "provisional", "missing", "broken", "undefined", "withheld", "unreleased"]
ValueType = Literal["count", "ratio", "amount", "gauge"]
Direction = Literal["up", "down", "none"]
Judgement = Literal["good", "bad", "neutral"]


@dataclass(frozen=True)
class Metric:
    """One metric of the catalogue."""

    metric_key: str
    name: str
    prefix: str
    suffix: str
    value_type: ValueType
    direction: Direction
    owner: str
    target: Decimal | None
    is_north_star: bool
    audience: Audience


@dataclass(frozen=True)
class Point:
    """One period of one metric; without a value unless final or provisional."""

    metric_key: str
    grain: Grain
    dimension: str
    start: dt.date
    end: dt.date
    value: Decimal | None
    state: State


@dataclass(frozen=True)
class Change:
    """How the value stands against the one `compare_days` earlier."""

    difference: Decimal
    """In the metric's own unit; percentage points for a ratio in per cent."""
    relative: Decimal | None
    """In per cent of the earlier value; None for percentages and where the earlier value is 0."""
    judgement: Judgement


@dataclass(frozen=True)
class Restatement:
    """A value that was shown before and is another one now; None where there is no value."""

    start: dt.date
    end: dt.date
    before: Decimal | None
    after: Decimal | None
    state_before: State
    state_after: State


@dataclass(frozen=True)
class Line:
    """One metric (of one currency) in the digest."""

    metric: Metric
    dimension: str
    """The currency of an amount, else ''."""
    decimals: int
    """How many its values are shown with."""
    grain: Grain
    current: Point | None
    """The latest final value; None where there has been none yet."""
    newest: Point | None
    """The newest period that is over, where it is not `current`: provisional, or without a value; missing where it
    has no row, or, of published figures, unreleased."""
    earlier: Point | None
    """The period `compare_days` before `current` (of months the one before it), whatever its state; None where there is
    no row of it."""
    earlier_start: dt.date | None
    """When the period to compare with began, or would have begun; None without a `current`."""
    earlier_end: dt.date | None
    change: Change | None
    """None where one of the two values is absent."""
    trend: tuple[Point, ...]
    """The last periods up to the newest, oldest first; a period without a row is absent."""
    restatements: tuple[Restatement, ...]
    """Since the last digest, newest period first."""

    @property
    def key(self) -> str:
        """What tells this line from all others, such as `paid_amount:eur`."""
        return f"{self.metric.metric_key}:{self.dimension}" if self.dimension else self.metric.metric_key


@dataclass(frozen=True)
class Digest:
    """Everything one digest says to one audience."""

    date: dt.date
    """The day it is made for."""
    audience: Audience
    compare_days: int
    figures_at: dt.datetime
    """The instant of the build behind the figures."""
    since: dt.datetime
    """The instant of the figures in the last digest: what was restated later is listed."""
    lines: tuple[Line, ...]
    """The North Star first, then by service and name."""

    @property
    def week(self) -> str:
        """The ISO week of the digest, such as `2026-W48`."""
        return week_of(self.date)


def week_of(day: dt.date) -> str:
    """Name the ISO week of a day, such as `2026-W48`."""
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"
