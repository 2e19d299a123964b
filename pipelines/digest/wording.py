"""The one wording of a digest: every renderer lays out these sentences and adds none of its own."""

import datetime as dt
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal

from pipelines.digest.facts import Digest, Judgement, Line, Point, Restatement, State
from pipelines.digest.making import is_percentage

MOST_RESTATEMENTS = 5
# A double may have 309 digits before the point.
_ANY_SIZE = Context(prec=400)
_WHY: dict[State, str] = {
    "final": "final",
    "provisional": "provisional",
    "missing": "missing: no load covers it",
    "broken": "broken: its source failed",
    "undefined": "undefined: nothing to divide by",
    "withheld": "withheld for privacy",
    "unreleased": "not released yet",
}


@dataclass(frozen=True)
class Statement:
    """What the digest says of one line, sentence by sentence."""

    key: str
    title: str
    value: str
    """The latest final value and its period."""
    comparison: str
    """Against `compare_days` earlier, with its judgement; or that there is nothing to compare with."""
    judgement: Judgement
    target: str
    """'' where there is no target."""
    newest: str
    """Of the newest period where that is not final yet; '' where it is."""
    restatements: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything below the title, in order."""
        single = (self.value, self.comparison, self.target, self.newest)
        return (*(sentence for sentence in single if sentence), *self.restatements)


@dataclass(frozen=True)
class Wording:
    """A whole digest in words."""

    title: str
    subtitle: str
    statements: tuple[Statement, ...]


def worded(digest: Digest) -> Wording:
    """Put a digest into words."""
    figures_at = digest.figures_at.astimezone(dt.UTC)
    restated = sum(len(line.restatements) for line in digest.lines)
    since = f"since the last digest ({_day(digest.since.date(), digest.date.year)})"
    counted = {0: "Nothing was restated", 1: "1 value was restated"}.get(
        restated, f"{restated} values were restated"
    )
    restatements = f"{counted} {since}."
    if digest.audience == "published":
        restatements = "Published figures: rounded, small ones withheld; what was released does not change."
    return Wording(
        title=f"Key figures of {_day(digest.date, None)}",
        subtitle=(
            f"Latest final values, compared with {digest.compare_days} days earlier. "
            f"{restatements} As of {_day(figures_at.date(), None)}, {figures_at:%H:%M} UTC."
        ),
        statements=tuple(_statement(line, digest) for line in digest.lines),
    )


def _statement(line: Line, digest: Digest) -> Statement:
    year = digest.date.year
    said = [_restated(line, restatement, year) for restatement in line.restatements[:MOST_RESTATEMENTS]]
    more = len(line.restatements) - len(said)
    if more > 0:
        said.append(f"Restated besides: {more} older {_plural(more, 'value')}.")
    return Statement(
        key=line.key,
        title=f"{'North Star: ' if line.metric.is_north_star else ''}{name(line)}",
        value=_value(line, year),
        comparison=_comparison(line, year),
        judgement=line.change.judgement if line.change else "neutral",
        target=_target(line),
        newest=_newest(line, year),
        restatements=tuple(said),
    )


def name(line: Line) -> str:
    """Name a line for people: the metric, and the currency where it has one."""
    return f"{line.metric.name}, {line.dimension.upper()}" if line.dimension else line.metric.name


def amount(line: Line, value: Decimal) -> str:
    """Write a value of a line in its unit, such as `$1,234.50`, `89.4%` or `1,125.48 EUR`."""
    # What is counted by currency is no money.
    is_money = line.metric.value_type == "amount"
    currency = f" {line.dimension.upper()}" if line.dimension and is_money else ""
    sign = "-" if value < 0 and _rounded(value, line.decimals) else ""
    number = f"{abs(_rounded(value, line.decimals)):,.{line.decimals}f}"
    return f"{sign}{line.metric.prefix}{number}{line.metric.suffix}{currency}"


def period(start: dt.date, end: dt.date, year: int | None) -> str:
    """Write a period, such as `Nov 7` or `Nov 2 - Nov 8`, with years where they are not `year`."""
    return _day(start, year) if start == end else f"{_day(start, year)} - {_day(end, year)}"


def _day(day: dt.date, year: int | None) -> str:
    return f"{day:%b} {day.day}" + ("" if day.year == year else f", {day.year}")


def _of(point: Point, year: int) -> str:
    return period(point.start, point.end, year)


def _value(line: Line, year: int) -> str:
    if line.current is None or line.current.value is None:
        return "No final value."
    return f"{amount(line, line.current.value)} ({_of(line.current, year)})"


def _comparison(line: Line, year: int) -> str:
    if line.current is None or line.earlier_start is None or line.earlier_end is None:
        return ""
    then = period(line.earlier_start, line.earlier_end, year)
    if line.earlier is None or line.earlier.value is None:
        why = f" ({_WHY[line.earlier.state]})" if line.earlier else ""
        return f"No value for {then}{why} to compare with."
    said = f"{amount(line, line.earlier.value)} ({then}{', provisional' if line.earlier.state != 'final' else ''})"
    if line.change is None:
        return ""
    difference = line.change.difference
    if not _rounded(difference, line.decimals):
        return f"Unchanged from {said}."
    way = "Up" if difference > 0 else "Down"
    judged = {"good": ", which is good", "bad": ", which is bad", "neutral": ""}[line.change.judgement]
    return f"{way} {_by(line, abs(difference))}{_relative(line)} from {said}{judged}."


def _by(line: Line, difference: Decimal) -> str:
    if is_percentage(line.metric):
        return f"{_rounded(difference, line.decimals)} percentage points"
    return amount(line, difference)


def _relative(line: Line) -> str:
    if line.change is None or line.change.relative is None:
        return ""
    return f" ({_rounded(line.change.relative, 1):+,}%)"


def _target(line: Line) -> str:
    target = line.metric.target
    if target is None:
        return ""
    said = f"Target {amount(line, target)}"
    if line.metric.direction == "none" or line.current is None or line.current.value is None:
        return f"{said}."
    missing = target - line.current.value if line.metric.direction == "up" else line.current.value - target
    return f"{said}: reached." if missing <= 0 else f"{said}: missed by {_by(line, missing)}."


def _newest(line: Line, year: int) -> str:
    if line.newest is None:
        return "" if line.current else "No period has a row yet."
    if line.newest.value is None:
        return f"No value for {_of(line.newest, year)} ({_WHY[line.newest.state]})."
    return f"{_of(line.newest, year)}: {amount(line, line.newest.value)} so far ({line.newest.state})."


def _restated(line: Line, restatement: Restatement, year: int) -> str:
    of = period(restatement.start, restatement.end, year)
    before = amount(line, restatement.before) if restatement.before is not None else "that there is no value"
    if restatement.after is None:
        return (
            f"Restated: for {of} we said {before}; there is no value now ({_WHY[restatement.state_after]})."
        )
    return f"Restated: for {of} we said {before}; it is {amount(line, restatement.after)} now."


def _rounded(value: Decimal, decimals: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_EVEN, context=_ANY_SIZE)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
