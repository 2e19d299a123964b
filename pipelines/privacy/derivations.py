"""The language in which each published column says how it is made from released leaves, and its evaluation.

A derivation is one expression of a closed subset of Python:

    cells('family', 'cell', ...)        sum of these cells in the row's own period; a withheld cell adds nothing, and
                                        nothing but withheld cells is NULL
    days(X)                             sum of X over the released days of the period
    days_max(X)                         the largest X over them
    to_date('family', 'cell', ...)      the base leaf of the family and these cells of all released days up to the period's end
    clamp(X, LOW, HIGH)                 X, but not below LOW and not above HIGH; a bound that is NULL is none
    min(X, ...), max(X, ...)            the smallest, the largest of those that are not NULL
    percentage(A, B), ratio(A, B)       100.0 * A / B, A / B; NULL without B
    change(column)                      a column minus the same one of the period before
    gini(B0, B1, B2, B3, B4)            Gini coefficient of bucket counts (0, 1, 2, 4, 8 errors each), two decimals
    column                              another column of the same row
    calendar()                          dates and names of periods, which say nothing about anybody

and, in the long table alone:

    name()                              names of a metric, a grain or a dimension, which say nothing about anybody either
    metric()                            the column that metric_key names, of the mart of the row's grain
    numerator(), denominator()          what that column's own derivation divides, and by what
    state()                             what value and denominator tell: final, withheld, undefined, missing or broken

There is nothing in it that could read anything but the ledger.
"""

import ast
import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import accumulate

from pipelines.privacy.leaves import LeafKey
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.periods import days_of, period_before, period_end

GINI_USERS = 50
"""Active users below which no Gini coefficient is given."""
_REPRESENTATIVES = (0, 1, 2, 4, 8)

Number = int | float
Value = Number | None


class DerivationError(ValueError):
    """A text is no derivation; the message says why."""


@dataclass(frozen=True)
class Cells:
    """The sum of cells of one family, in the row's period or up to its end."""

    family: str
    cells: tuple[str, ...]
    is_to_date: bool = False


@dataclass(frozen=True)
class Column:
    """Another column of the row, or its change since the period before."""

    name: str
    is_change: bool = False


@dataclass(frozen=True)
class Call:
    """A function of other expressions."""

    function: str
    arguments: "tuple[Expression, ...]"


Expression = Cells | Column | Call

_NO_NUMBERS = ("calendar", "name", "metric", "numerator", "denominator", "state")
_ARGUMENTS = {
    "days": (1, 1),
    "days_max": (1, 1),
    "clamp": (3, 3),
    "min": (1, 99),
    "max": (1, 99),
    "percentage": (2, 2),
    "ratio": (2, 2),
    "gini": (5, 5),
    **dict.fromkeys(_NO_NUMBERS, (0, 0)),
}


def parse(text: str) -> Expression:
    """Read a derivation. Raises DerivationError for anything that the language does not have."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise DerivationError(f"'{text}' is no expression") from error
    return _read(tree)


def _read(node: ast.expr) -> Expression:
    if isinstance(node, ast.Name):
        return Column(node.id)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise DerivationError(f"'{ast.unparse(node)}' is not in the language")
    name = node.func.id
    if name in {"cells", "to_date"}:
        texts = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if len(texts) < 2 or len(texts) != len(node.args) or not all(isinstance(text, str) for text in texts):
            raise DerivationError(f"'{ast.unparse(node)}' has to name a family and its cells")
        family, *cells = (str(text) for text in texts)
        if len(set(cells)) != len(cells):
            raise DerivationError(f"'{ast.unparse(node)}' names a cell twice")
        return Cells(family, tuple(cells), name == "to_date")
    if name == "change":
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Name):
            raise DerivationError(f"'{ast.unparse(node)}' has to name one column")
        return Column(node.args[0].id, is_change=True)
    if name not in _ARGUMENTS:
        raise DerivationError(f"'{name}' is not in the language")
    fewest, most = _ARGUMENTS[name]
    if not fewest <= len(node.args) <= most:
        raise DerivationError(f"'{ast.unparse(node)}' has {len(node.args)} arguments")
    return Call(name, tuple(_read(argument) for argument in node.args))


def columns_named(expression: Expression) -> set[str]:
    """Name the columns that an expression reads."""
    if isinstance(expression, Column):
        return {expression.name}
    if isinstance(expression, Call):
        return set().union(*(columns_named(argument) for argument in expression.arguments))
    return set()


def cells_named(expression: Expression) -> set[tuple[str, str]]:
    """Name the cells, with their families, that an expression reads by itself."""
    if isinstance(expression, Cells):
        return {(expression.family, cell) for cell in expression.cells}
    if isinstance(expression, Call):
        return set().union(*(cells_named(argument) for argument in expression.arguments))
    return set()


class Evaluator:
    """Computes the columns of one mart from a ledger.

    `derivations` are those of all its columns. Raises DerivationError for a column that nothing is said about, or that
    is made from itself.
    """

    def __init__(self, ledger: Ledger, grain: str, derivations: Mapping[str, Expression]) -> None:
        self._ledger = ledger
        self._grain = grain
        self._derivations = derivations
        self._known: dict[tuple[str, dt.date], Value] = {}
        self._totals: dict[Cells, tuple[list[dt.date], list[int]]] = {}
        self._under_way: set[tuple[str, dt.date]] = set()

    def column(self, name: str, start: dt.date) -> Value:
        """Give a column of the row of the period that begins on `start`; None for NULL."""
        place = name, start
        if place in self._known:
            return self._known[place]
        if name not in self._derivations:
            raise DerivationError(f"there is no column '{name}'")
        if place in self._under_way:
            raise DerivationError(f"the column '{name}' is made from itself")
        self._under_way.add(place)
        try:
            self._known[place] = self._value(self._derivations[name], self._grain, start)
        finally:
            self._under_way.discard(place)
        return self._known[place]

    def _value(self, expression: Expression, grain: str, start: dt.date) -> Value:
        if isinstance(expression, Cells):
            return self._sum(expression, grain, start)
        if isinstance(expression, Column):
            return self._column(expression, start)
        if expression.function in {"days", "days_max"}:
            [inner] = expression.arguments
            values = [self._value(inner, "day", day) for day in days_of(grain, start)]
            found = [value for value in values if value is not None]
            if not found:
                return None
            return sum(found) if expression.function == "days" else max(found)
        return _FUNCTIONS[expression.function](
            [self._value(argument, grain, start) for argument in expression.arguments]
        )

    def _sum(self, cells: Cells, grain: str, start: dt.date) -> Value:
        if not cells.is_to_date:
            values = [self._ledger.value(LeafKey(cells.family, grain, start, cell)) for cell in cells.cells]
            found = [value for value in values if value is not None]
            return sum(found) if found else None
        base = self._ledger.base(cells.family)
        if base is None:
            return None
        days, totals = self._totals_to_date(cells, base)
        return totals[bisect_right(days, period_end(grain, start))]

    def _totals_to_date(self, cells: Cells, base: LeafKey) -> tuple[list[dt.date], list[int]]:
        """Give the released days in order, and what had come together before the first and after each of them."""
        if cells not in self._totals:
            days = sorted(self._ledger.periods(cells.family, "day"))
            values = [
                sum(self._ledger.value(LeafKey(cells.family, "day", day, cell)) or 0 for cell in cells.cells)
                for day in days
            ]
            self._totals[cells] = days, list(accumulate(values, initial=self._ledger.value(base) or 0))
        return self._totals[cells]

    def _column(self, column: Column, start: dt.date) -> Value:
        here = self.column(column.name, start)
        if not column.is_change:
            return here
        before = self.column(column.name, period_before(self._grain, start))
        return None if here is None or before is None else here - before


def _clamp(values: Sequence[Value]) -> Value:
    value, low, high = values
    if value is None:
        return None
    value = value if low is None else max(value, low)
    return value if high is None else min(value, high)


def _smallest(values: Sequence[Value]) -> Value:
    return min((value for value in values if value is not None), default=None)


def _largest(values: Sequence[Value]) -> Value:
    return max((value for value in values if value is not None), default=None)


def _ratio(values: Sequence[Value]) -> Value:
    above, below = values
    return None if above is None or not below else above / below


def _percentage(values: Sequence[Value]) -> Value:
    above, below = values
    return None if above is None or not below else 100.0 * above / below


def _no_number(values: Sequence[Value]) -> Value:
    raise DerivationError("that is no number of a mart")


def _gini(values: Sequence[Value]) -> Value:
    counts = [int(value or 0) for value in values]
    users = sum(counts)
    errors = sum(count * each for count, each in zip(counts, _REPRESENTATIVES, strict=True))
    if users < GINI_USERS or not errors:
        return None
    above = before = 0
    for count, each in zip(counts, _REPRESENTATIVES, strict=True):
        # The sum of 2i - n - 1 over the users of one bucket, who follow `before` others.
        above += each * count * (2 * before + count - users)
        before += count
    exact = Fraction(above, users * errors)
    shown = Decimal(exact.numerator) / Decimal(exact.denominator)
    return float(shown.quantize(Decimal("0.01"), ROUND_HALF_UP))


_FUNCTIONS = {
    "clamp": _clamp,
    "min": _smallest,
    "max": _largest,
    "ratio": _ratio,
    "percentage": _percentage,
    "gini": _gini,
    **dict.fromkeys(_NO_NUMBERS, _no_number),
}
