"""The second look: every published number is computed again from the ledger; what comes out differently is a clue."""

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.privacy.derivations import DerivationError, Evaluator, Expression, parse
from pipelines.privacy.explaining_long_table import explain_long_table
from pipelines.privacy.export import DICTIONARY, Export, Finding
from pipelines.privacy.facts import counts_behind
from pipelines.privacy.leaves import LeafKey, Parameters
from pipelines.privacy.ledger import LEDGER_TABLE, LONG_TABLE, PARAMETERS_TABLE, Ledger
from pipelines.privacy.ledger_checks import Reading
from pipelines.privacy.linear import NotLinear, Quotient, Reader, constraints_of
from pipelines.privacy.periods import GRAINS, is_day, period_end, period_label, period_start
from pipelines.privacy.solver import Constraint
from pipelines.privacy.tables import Table, disagreement, printed

_CALENDAR = ("report_date", "period_label", "period_start_date", "period_end_date", "created_at")


@dataclass(frozen=True)
class Guess:
    """A number that its derivation does not give, read as made from true counts."""

    finding: Finding
    quotient: Quotient
    constraints: tuple[Constraint, ...]


@dataclass
class Explained:
    """What came of looking at every number of an export."""

    numbers: int
    guesses: list[Guess]


def explain(reading: Reading) -> Explained:
    """Compute every published number from the ledger; note those that come out differently."""
    export = reading.export
    explained = Explained(0, [])
    for table in export.tables.values():
        if table.name in {LEDGER_TABLE, PARAMETERS_TABLE, DICTIONARY}:
            continue
        if table.name == LONG_TABLE:
            explained.numbers += explain_long_table(reading, table)
            continue
        grain = export.grain(table.name)
        if grain not in GRAINS:
            export.reject(f"{table.name}.csv", "the manifest does not say for which periods it is")
            continue
        expressions = _expressions(export, table)
        explained.guesses += _explain_table(reading, table, grain, expressions, explained)
    return explained


def _expressions(export: Export, table: Table) -> dict[str, Expression]:
    texts = export.derivations(table.name)
    expressions = {}
    for column in table.column_names():
        if column not in texts:
            export.reject(f"{table.name}.csv", "the manifest does not explain this column", column=column)
            continue
        try:
            expressions[column] = parse(texts[column])
        except DerivationError as error:
            export.reject(f"{table.name}.csv", f"the manifest does not explain it: {error}", column=column)
    return expressions


def _explain_table(
    reading: Reading, table: Table, grain: str, expressions: Mapping[str, Expression], explained: Explained
) -> Iterator[Guess]:
    export, file = reading.export, f"{table.name}.csv"
    calendar = {name for name, expression in expressions.items() if expression == parse("calendar()")}
    if not {"report_date", "period_start_date"} <= calendar:
        export.reject(file, "it has no report_date and period_start_date")
        return
    evaluator = Evaluator(reading.ledger, grain, expressions)
    wrong: dict[str, int] = defaultdict(int)
    for number, row in enumerate(table.dicts(), start=1):
        start = row["period_start_date"]
        if not is_day(start):
            export.reject(file, f"'{printed(start)}' is no day", number, "period_start_date")
            continue
        for column in expressions:
            explained.numbers += column not in calendar
            try:
                if column in calendar:
                    problem = _wrong_date(reading, grain, column, row)
                else:
                    problem = disagreement(row[column], evaluator.column(column, start))
            except DerivationError as error:
                problem = f"nothing explains it ({error})"
            if problem is None:
                continue
            wrong[column] += 1
            finding = Finding(export.name, file, problem, number, column)
            if wrong[column] <= 1:
                export.findings.append(finding)
            value = row[column]
            is_number = (
                isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
            )
            if column not in calendar and is_number:
                yield from _guesses(reading, grain, expressions, finding, printed(row[column]), start)
    for column, count in wrong.items():
        if count > 1:
            export.reject(file, f"{count - 1} more rows like that", column=column)


def _wrong_date(reading: Reading, grain: str, column: str, row: Mapping[str, Any]) -> str | None:
    start, report_date = row["period_start_date"], reading.export.report_date
    if column not in _CALENDAR:
        return "the calendar has no such column"
    expected: object
    if column == "created_at":
        expected = reading.ledger.instants().get((grain, start))
    elif column == "period_label":
        expected = period_label(grain, start, report_date)
    elif column == "period_end_date":
        expected = period_end(grain, start)
    else:
        expected = period_start(grain, start) if column == "period_start_date" else report_date
    if row[column] == expected:
        return None
    return f"'{printed(row[column])}' is not what the calendar gives ('{printed(expected)}')"


def _guesses(
    reading: Reading,
    grain: str,
    expressions: Mapping[str, Expression],
    finding: Finding,
    text: str,
    start: dt.date,
) -> Iterator[Guess]:
    """Read a number as made from the true counts: of all cells, and else of those shown."""
    for only_shown in (False, True):
        reader = Reader(reading.ledger, grain, expressions, only_shown=only_shown)
        try:
            quotient = reader.quotient(str(finding.column), start)
        except (NotLinear, KeyError):
            continue
        below = quotient.below or {}
        most = sum(
            _highest(reading.ledger, key, reading.parameters) * factor for key, factor in below.items()
        )
        if quotient.above and (quotient.below is None or below):
            yield Guess(finding, quotient, tuple(constraints_of(quotient, text, most)))


def _highest(ledger: Ledger, key: LeafKey, parameters: Mapping[str, Parameters]) -> int:
    return counts_behind(ledger, key, parameters[ledger.releases[key].parameters_id])[1]
