"""The long table, metric_data, under the second look: each figure in it is one of the marts', computed again from the ledger.

Its rows say of themselves which figure they are, so that its columns have derivations of their own (`metric()` and the
like), always the same ones. A metric that no mart has is public as it is, if the manifest declares so, and else has no
figure.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.privacy.derivations import Call, Column, DerivationError, Evaluator, Expression, Value, parse
from pipelines.privacy.ledger_checks import Reading
from pipelines.privacy.periods import GRAINS, period_end
from pipelines.privacy.tables import Table, disagreement, printed

DERIVATIONS = {
    "metric_key": "name()",
    "grain": "name()",
    "period_start_date": "calendar()",
    "period_end_date": "calendar()",
    "dimension": "name()",
    "value": "metric()",
    "numerator": "numerator()",
    "denominator": "denominator()",
    "state": "state()",
    "computed_at": "calendar()",
}
"""The columns of the long table, in order, and how each is made."""
_NUMBERS = ("value", "numerator", "denominator")
_FAILURES = ("missing", "broken")

Row = dict[str, Any]
Problem = tuple[str, str]
"""A column, and what is wrong there."""


@dataclass(frozen=True)
class _Mart:
    """One mart of the export, as its derivations describe it."""

    evaluator: Evaluator
    expressions: Mapping[str, Expression]

    def figures(self, metric_key: str, start: dt.date) -> tuple[Value, Value, Value, str]:
        """Give value, numerator, denominator and state of one column of the row of a period."""
        value = self.evaluator.column(metric_key, start)
        above, below = self._parts(self.expressions[metric_key], start)
        state = "withheld"
        if value is not None:
            state = "final"
        elif below == 0 or self._is_change(metric_key):
            state = "undefined"
        has_both = above is not None and below is not None
        return value, above if has_both else None, below if has_both else None, state

    def _parts(self, expression: Expression, start: dt.date) -> tuple[Value, Value]:
        if isinstance(expression, Call) and expression.function in {"percentage", "ratio"}:
            above, below = expression.arguments
            if isinstance(above, Column) and isinstance(below, Column):
                return self.evaluator.column(above.name, start), self.evaluator.column(below.name, start)
        return None, None

    def _is_change(self, metric_key: str) -> bool:
        expression = self.expressions[metric_key]
        return isinstance(expression, Column) and expression.is_change


def explain_long_table(reading: Reading, table: Table) -> int:
    """Compute every figure of the long table from the ledger, note what comes out differently, and count the numbers."""
    export, file = reading.export, f"{table.name}.csv"
    if export.derivations(table.name) != DERIVATIONS or table.column_names() != list(DERIVATIONS):
        export.reject(file, "the manifest does not explain these columns as those of the long table")
        return 0
    marts = _marts(reading)
    wrong: Counter[str] = Counter()
    seen: Counter[tuple[str, str]] = Counter()
    places = set()
    for number, row in enumerate(table.dicts(), start=1):
        place = row["metric_key"], row["grain"], row["period_start_date"]
        seen[row["metric_key"], row["grain"]] += 1
        problems = list(_problems(reading, marts, row))
        if place in places:
            problems.append(("metric_key", "the same figure stands here twice"))
        places.add(place)
        for column, problem in problems:
            wrong[column] += 1
            if wrong[column] == 1:
                export.reject(file, f"{row['metric_key']}: {problem}", number, column)
    for column, count in wrong.items():
        if count > 1:
            export.reject(file, f"{count - 1} more rows like that", column=column)
    _find_gaps(reading, seen)
    return len(table.rows) * len(_NUMBERS)


def _marts(reading: Reading) -> dict[tuple[str, str], _Mart]:
    """Find the mart behind each metric, by metric and grain."""
    found: dict[tuple[str, str], _Mart] = {}
    for table in reading.export.tables.values():
        grain = reading.export.grain(table.name)
        if grain not in GRAINS:
            continue
        expressions = {}
        for column, text in reading.export.derivations(table.name).items():
            try:
                expressions[column] = parse(text)
            except DerivationError:
                # Said where the mart itself is looked at.
                continue
        mart = _Mart(Evaluator(reading.ledger, grain, expressions), expressions)
        numbers = [column for column, expression in expressions.items() if expression != parse("calendar()")]
        found |= {(column, grain): mart for column in numbers}
    return found


def _problems(reading: Reading, marts: Mapping[tuple[str, str], _Mart], row: Row) -> Iterator[Problem]:
    metric_key, grain, start = row["metric_key"], row["grain"], row["period_start_date"]
    instant = reading.ledger.instants().get((grain, start))
    if grain not in GRAINS or instant is None:
        yield "period_start_date", f"the {grain} {start} was not released"
        return
    dates = {"period_end_date": period_end(grain, start), "computed_at": instant, "dimension": ""}
    for column, expected in dates.items():
        if row[column] != expected:
            yield column, f"'{printed(row[column])}' should be '{printed(expected)}'"
    if (metric_key, grain) in marts:
        try:
            *numbers, state = marts[metric_key, grain].figures(metric_key, start)
        except DerivationError as error:
            yield "value", f"nothing explains it ({error})"
            return
        for column, number in zip(_NUMBERS, numbers, strict=True):
            problem = disagreement(row[column], number)
            if problem:
                yield column, problem
        if row["state"] != state:
            yield "state", f"'{row['state']}' says something else than the figures do ('{state}')"
        return
    is_public = metric_key in reading.export.public_metrics()
    allowed = ("final", *_FAILURES) if is_public else ("missing",)
    if grain != "day" or row["state"] not in allowed:
        yield (
            "state",
            f"no mart has this metric, and it is not declared to be public: '{row['state']}' of a {grain}",
        )
    if (row["value"] is not None) != (row["state"] == "final"):
        yield "value", f"'{printed(row['value'])}' in the state '{row['state']}'"
    if row["numerator"] is not None or row["denominator"] is not None:
        yield "numerator", "nothing explains what it is made from"


def _find_gaps(reading: Reading, seen: Mapping[tuple[str, str], int]) -> None:
    """A row that is left out would say something by being so."""
    released = Counter(grain for grain, _ in reading.ledger.instants())
    for (metric_key, grain), rows in seen.items():
        if grain in GRAINS and rows < released[grain]:
            reading.export.reject(
                "metric_data.csv",
                f"{metric_key} lacks {released[grain] - rows} {grain} rows that were released",
            )
