"""Everything that a built warehouse publishes: its marts as they stand, and as they are in the report of any day."""

import datetime as dt
import json
import random
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
from privacy_support import grain_of, published_marts, unpivoted

from pipelines.privacy.derivations import Evaluator, parse
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.periods import ADJECTIVES, days_of, period_end, period_label
from pipelines.privacy.reference import Rounding, protected_users
from pipelines.warehouse import Warehouse

Row = dict[str, Any]
Figures = dict[str, dict[dt.date, Row]]
"""The row of each period, with the columns of all subjects, by grain and first day."""

SESSION_RATES = {
    "adjusted_success_rate": "successful_sessions",
    "first_try_success_rate": "first_try_successes",
    "second_try_success_rate": "second_try_successes",
    "third_plus_try_success_rate": "third_plus_try_successes",
}
TRIES = ("first_try_successes", "second_try_successes", "third_plus_try_successes")
ERRORS = (
    "no_period_history",
    "camera_too_far",
    "camera_too_close",
    "analysis_error",
    "test_lines_not_found",
    "test_not_found",
)
COUNTED_BY_DAY = (
    "all_tests",
    "successful_tests",
    "total_sessions",
    "successful_sessions",
    *TRIES,
    *ERRORS,
    "total_errors",
    "accounts_created",
    "accounts_with_tests",
)
"""What a week and a month sum over their days."""


_WILD_FIGURES = """
with wild as (
    select *, ('0x' || left(md5(concat_ws('|', family, grain, period_start_date, cell)), 8))::bigint as number
    from kpi_metrics.release_ledger
)
update kpi_metrics.release_ledger as ledger
set value = case
    when ledger.family in ('tests', 'sessions', 'errors') and number % 3 = 0 then null
    when ledger.grain != 'day' and number % 7 = 0 then 150 * (number % 21)
    else 5 * (number % 21)
end
from wild
where (ledger.family, ledger.grain, ledger.period_start_date, ledger.cell)
    = (wild.family, wild.grain, wild.period_start_date, wild.cell)
"""
"""Multiples of 5 that only the leaf decides: weeks above all of their days, below one of them, much withheld."""


@dataclass(frozen=True)
class Publication:
    """What is published: the ledger, the marts and the long table as built, and the reports of every day since the first
    release."""

    ledger: Ledger
    built: dict[str, list[Row]]
    reports: dict[str, list[Row]]
    long_table: list[Row]

    @classmethod
    def of(cls, warehouse: Warehouse, scratch: Path, *, with_wild_ledger: bool = False) -> "Publication":
        """Read a warehouse. The reports of other days are made in a copy of it, by the SQL that built its marts.

        A wild ledger has the leaves of the true one with figures that no company could have, for the same SQL.
        """
        manifest = json.loads((warehouse.state_folder / "dbt" / "manifest.json").read_text(encoding="utf-8"))
        copy = scratch / warehouse.duckdb_path.name
        shutil.copy(warehouse.duckdb_path, copy)
        with duckdb.connect(str(copy)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            if with_wild_ledger:
                connection.execute(_WILD_FIGURES)
            ledger = Ledger.of(_rows(connection, "from kpi_metrics.release_ledger"))
            built = {mart: _rows(connection, f"from kpi_metrics.{mart}") for mart in published_marts()}
            long_table = _rows(
                connection, manifest["nodes"]["model.kpi.published_metric_data"]["compiled_code"]
            )
            connection.execute(
                "insert into intermediate.report_dates"
                " select distinct period_start_date from kpi_metrics.release_ledger"
                " where grain = 'day' and period_start_date not in (from intermediate.report_dates)"
            )
            reports = {
                mart: _rows(connection, manifest["nodes"][f"model.kpi.published_{mart}"]["compiled_code"])
                for mart in published_marts()
            }
        return cls(ledger, built, reports, long_table)

    def figures(self) -> Figures:
        """Give the row of each released period. Fails where two reports do not say the same of it."""
        found: Figures = {grain: defaultdict(dict) for grain in ADJECTIVES}
        for mart, rows in self.reports.items():
            for row in rows:
                known = found[grain_of(mart)][row["period_start_date"]]
                for name, value in row.items():
                    if name not in {"report_date", "period_label"}:
                        assert known.setdefault(name, value) == value, (mart, row, name)
        return {grain: dict(sorted(rows.items())) for grain, rows in found.items()}


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[Row]:
    found = connection.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def unlike_their_derivations(publication: Publication, rows: dict[str, list[Row]]) -> Iterator[str]:
    """Name each cell of the marts that is not what its declared derivation gives from the ledger."""
    released = {
        (key.grain, key.start): release.released_at for key, release in publication.ledger.releases.items()
    }
    for mart, columns in published_marts().items():
        grain = grain_of(mart)
        numbers = {name: parse(text) for name, (_, text) in columns.items() if text.strip() != "calendar()"}
        evaluator = Evaluator(publication.ledger, grain, numbers)
        for row in rows[mart]:
            start, report_date = row["period_start_date"], row["report_date"]
            expected = {
                "report_date": report_date,
                "period_label": period_label(grain, start, report_date),
                "period_start_date": start,
                "period_end_date": period_end(grain, start),
                "created_at": released[grain, start],
            } | {name: evaluator.column(name, start) for name in numbers}
            if list(row) != list(columns):
                yield f"{mart} has the columns {list(row)}"
            for name, value in expected.items():
                if row[name] != value:
                    yield f"{mart} of {report_date}, {start}, {name}: {row[name]}, not {value}"


def unlike_the_marts(publication: Publication) -> Iterator[str]:
    """Name each figure of the long table that is not the one in the marts, and each one of the marts that it lacks."""
    keys = ("metric_key", "grain", "period_start_date")
    found = {tuple(row[name] for name in keys): row for row in publication.long_table}
    if len(found) != len(publication.long_table):
        yield "a figure stands there twice"
    expected = {
        tuple(figure[name] for name in keys): figure
        for mart, rows in publication.reports.items()
        for row in rows
        for figure in unpivoted(grain_of(mart), row)
    }
    for key, figure in expected.items():
        if found.get(key) != figure:
            yield f"{key}: {found.get(key)}, not {figure}"
    marts = {metric for metric, _, _ in expected}
    for key in found.keys() - expected.keys():
        if key[0] in marts:
            yield f"{key}: no report has it"


def incoherences(figures: Figures) -> Iterator[str]:
    """Name each place where published figures contradict each other."""
    for grain, rows in figures.items():
        for start, row in rows.items():
            for told in _within(row):
                yield f"{grain} of {start}: {told}"
            if grain != "day":
                days = [figures["day"][day] for day in days_of(grain, start)]
                for told in _against_days(row, days):
                    yield f"{grain} of {start}: {told}"
        for (_, before), (start, row) in pairwise(rows.items()):
            for told in _against_before(row, before):
                yield f"{grain} of {start}: {told}"


def _within(row: Row) -> Iterator[str]:
    """Hold a row against itself."""
    for part, whole in (
        ("successful_test_users", "active_users"),
        ("successful_tests", "all_tests"),
        ("accounts_with_tests", "accounts_created"),
        ("successful_sessions", "total_sessions"),
    ):
        if (row[part] or 0) > (row[whole] or 0):
            yield f"{part} above {whole}"
    if row["successful_sessions"] != _sum(row[name] for name in TRIES):
        yield "successful_sessions is not the sum of the tries shown"
    if (row["total_errors"] or 0) < (_sum(row[name] for name in ERRORS) or 0):
        yield "total_errors below the errors shown"
    rates = {name: (100.0, above, "total_sessions") for name, above in SESSION_RATES.items()} | {
        "conversion_rate": (100.0, "accounts_with_tests", "accounts_created"),
        "active_percentage": (100.0, "active_users", "total_active_users_to_date"),
        "avg_tests_per_active_user": (1.0, "successful_tests", "active_users"),
    }
    for name, (factor, above, below) in rates.items():
        is_given = row[above] is not None and row[below]
        if row[name] != (factor * row[above] / row[below] if is_given else None):
            yield f"{name} is not what {above} and {below} give"


def _against_days(row: Row, days: list[Row]) -> Iterator[str]:
    """Hold a longer period against all of its days."""
    for name in ("active_users", "successful_test_users"):
        if row[name] < max(day[name] for day in days):
            yield f"{name} below those of a day"
        if row[name] > sum(day[name] for day in days):
            yield f"{name} above the sum of the days"
    for name in COUNTED_BY_DAY:
        if row[name] != _sum(day[name] for day in days):
            yield f"{name} is not the sum of the days"
    for name in ("total_users_to_date", "total_active_users_to_date"):
        if row[name] != days[-1][name]:
            yield f"{name} is not that of the last day"


def _against_before(row: Row, before: Row) -> Iterator[str]:
    """Hold a row against that of the period before."""
    for name in ("total_users_to_date", "total_active_users_to_date"):
        if row[name] < before[name]:
            yield f"{name} has fallen"
    now, then = row["active_percentage"], before["active_percentage"]
    if row["active_change"] != (None if now is None or then is None else now - then):
        yield "active_change is not the difference of what is shown"


def _sum(values: Iterator[int | None]) -> int | None:
    shown = [value for value in values if value is not None]
    return sum(shown) if shown else None


Leaves = dict[dt.date, list[tuple[int, int]]]
"""The true count and the key of the contributors of each cell of a day."""


def redrawn_errors(leaves: Leaves, draws: int) -> Iterator[int]:
    """Give how far the users of each day would be off, had the company other keys: for some of them, always the same."""
    for draw in range(draws):
        chance = random.Random(draw)
        for cells in leaves.values():
            yield sum(
                protected_users(Rounding(), units, key ^ chance.getrandbits(60)) - units
                for units, key in cells
            )
