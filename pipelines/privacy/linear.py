"""What a published number would say if it had been made from the true counts: the attacker's guess at a wrong figure.

A number that its derivation does not give from the ledger must have come from somewhere. Read as computed from the true
counts by the same formula, it is a linear constraint over them.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from pipelines.privacy.derivations import Call, Cells, Column, Expression
from pipelines.privacy.leaves import LeafKey
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.periods import days_of, period_end
from pipelines.privacy.solver import Constraint, Terms

RELATIVE_ERROR = Fraction(1, 10**12)
"""What arithmetic in floating point may be off by."""


class NotLinear(Exception):  # noqa: N818 - it is an answer, not a failure
    """An expression is no sum, rate or ratio of counts."""


@dataclass(frozen=True)
class Quotient:
    """scale x above / below, or a plain sum where there is nothing below."""

    above: Mapping[LeafKey, int]
    below: Mapping[LeafKey, int] | None = None
    scale: int = 1


class Reader:
    """Reads the derivations of one mart as formulas over true counts.

    With `only_shown` the cells that were withheld add nothing.
    """

    def __init__(
        self, ledger: Ledger, grain: str, derivations: Mapping[str, Expression], *, only_shown: bool
    ) -> None:
        self._ledger = ledger
        self._grain = grain
        self._derivations = derivations
        self._only_shown = only_shown

    def quotient(self, column: str, start: dt.date) -> Quotient:
        """Read one column of the row of a period; raises NotLinear."""
        return self._quotient(self._derivations[column], start, 0)

    def _quotient(self, expression: Expression, start: dt.date, depth: int) -> Quotient:
        if isinstance(expression, Column) and not expression.is_change and depth < len(self._derivations):
            return self._quotient(self._derivations[expression.name], start, depth + 1)
        if isinstance(expression, Call) and expression.function in {"percentage", "ratio"}:
            above, below = (self._sum(part, self._grain, start, depth) for part in expression.arguments)
            return Quotient(above, below, 100 if expression.function == "percentage" else 1)
        return Quotient(self._sum(expression, self._grain, start, depth))

    def _sum(self, expression: Expression, grain: str, start: dt.date, depth: int) -> Mapping[LeafKey, int]:
        if isinstance(expression, Cells):
            return Counter(self._cells(expression, grain, start))
        if isinstance(expression, Column):
            if expression.is_change or depth >= len(self._derivations):
                raise NotLinear
            return self._sum(self._derivations[expression.name], self._grain, start, depth + 1)
        if expression.function == "clamp":
            # The true count lies within the bounds by itself.
            return self._sum(expression.arguments[0], grain, start, depth)
        if expression.function != "days":
            raise NotLinear
        total: Counter[LeafKey] = Counter()
        for day in days_of(grain, start):
            total.update(self._sum(expression.arguments[0], "day", day, depth))
        return total

    def _cells(self, cells: Cells, grain: str, start: dt.date) -> Iterator[LeafKey]:
        if cells.is_to_date:
            base = self._ledger.base(cells.family)
            if base is not None:
                yield base
            end = period_end(grain, start)
            starts = [day for day in self._ledger.periods(cells.family, "day") if day <= end]
            grain = "day"
        else:
            starts = [start]
        for day in starts:
            for cell in cells.cells:
                key = LeafKey(cells.family, grain, day, cell)
                if key in self._ledger.releases and not (
                    self._only_shown and self._ledger.value(key) is None
                ):
                    yield key


def printed_interval(text: str) -> tuple[Fraction, Fraction]:
    """Give what a printed number can stand for: half a unit of its last digit to each side."""
    number = Fraction(text)
    digits = text.lower().partition("e")[0].partition(".")[2]
    exponent = int(text.lower().partition("e")[2] or 0)
    half = Fraction(1, 2) * Fraction(10) ** (exponent - len(digits)) if digits else Fraction(0)
    error = max(half, abs(number) * RELATIVE_ERROR)
    return number - error, number + error


def constraints_of(quotient: Quotient, text: str, most: int) -> Iterator[Constraint]:
    """Say what a printed number says about the counts behind it; `most` bounds what stands below the line."""
    low, high = printed_interval(text)
    if quotient.below is None:
        yield Constraint(quotient.above, low, high)
        return
    low, high = low / quotient.scale, high / quotient.scale
    yield Constraint(_difference(quotient, low), 0, None)
    yield Constraint(_difference(quotient, high), None, 0)
    exact = ((low + high) / 2).limit_denominator(max(most, 1))
    if low <= exact <= high and (high - low) * most * most < 1:
        # So many digits name one fraction alone.
        yield Constraint(_difference(quotient, exact), 0, 0)


def _difference(quotient: Quotient, rate: Fraction) -> Terms:
    assert quotient.below is not None
    terms: dict[LeafKey, Fraction] = {key: Fraction(factor) for key, factor in quotient.above.items()}
    for key, factor in quotient.below.items():
        terms[key] = terms.get(key, Fraction(0)) - rate * factor
    scale = rate.denominator if rate.denominator < 10**6 else 1
    return {key: factor * scale for key, factor in terms.items() if factor}
