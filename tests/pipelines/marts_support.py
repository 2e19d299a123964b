"""A company whose event files are loaded and built for real, and held against the reference."""

import csv
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import reference
from dbt_support import invoke
from strategies import unpacked

from pipelines.sources import events
from pipelines.warehouse import PROJECT_ROOT, Warehouse, environment

USER_KEY = "u" * 32
RECORD_KEY = "r" * 32

MARTS = (
    *(
        f"{grain}_{subject}"
        for grain in ("daily", "weekly", "monthly")
        for subject in ("engagement", "advanced_metrics", "errors", "funnel")
    ),
    "errors_by_type",
    "event_fates",
    "stg_events__files",
)


@dataclass
class Company:
    """Event files in a folder, and a warehouse of their own."""

    folder: Path
    timezone: str
    _files: dict[str, bytes] = field(default_factory=dict)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse("duckdb", self.folder / "company.duckdb", "", self.timezone)

    def receive(self, files: dict[str, bytes]) -> None:
        """Write event files (name to content) and load them."""
        for name, content in files.items():
            path = self.folder / "events" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        self._files |= files
        with environment(
            SOURCES__EVENTS__PATH=str(self.folder / "events"),
            KPI_USER_KEY=USER_KEY,
            KPI_RECORD_KEY=RECORD_KEY,
        ):
            report = events.load(self.warehouse, lambda line: None)
            events.ensure_tables(self.warehouse)
        assert report.failures == [], report.failures

    def build(
        self, report_date: date, backfill: tuple[date, date] | None = None, *, with_data_tests: bool = False
    ) -> None:
        """Run a `dbt build` of what is compared."""
        variables = {"report_date": report_date.isoformat()}
        if backfill:
            variables |= {"backfill_from": backfill[0].isoformat(), "backfill_to": backfill[1].isoformat()}
        left_out = ["unit_test"] if with_data_tests else ["unit_test", "test"]
        arguments = [
            "build",
            "--vars",
            json.dumps(variables),
            "--exclude-resource-type",
            *left_out,
            "--select",
        ]
        invoke(self.warehouse, [*arguments, *(f"+{mart}" for mart in MARTS)])

    def lines(self) -> list[reference.Line]:
        """Every line of every file."""
        files = ((name, unpacked(name, content)) for name, content in self._files.items())
        return [line for name, content in files for line in reference.lines_of(name, content)]

    def differences(self) -> list[str]:
        """Hold every stored report, and the fates of the lines, against the reference; one line per difference."""
        lines = [
            line
            for name, content in self._files.items()
            for line in reference.lines_of(name, unpacked(name, content))
        ]
        settled = reference.settle(lines, USER_KEY.encode())
        roles, error_types = _seed("event_roles"), _seed("error_types")
        found: list[str] = []
        with self.warehouse.reader() as connection:
            dates = _stored_reports(connection)
            for report_date in dates:
                expected = reference.report(settled, report_date, self.timezone, roles, error_types)
                if report_date != dates[-1]:
                    # It has no report date: it is as of the newest one.
                    del expected["errors_by_type"]
                for mart, rows in expected.items():
                    found += _compare(
                        f"{mart} of {report_date}", rows, _stored(connection, mart, report_date)
                    )
            found += _compare("event_fates", [_fates(settled, roles)], [_stored_fates(connection)])
        return found


def _seed(name: str) -> dict[str, str]:
    with (PROJECT_ROOT / "seeds" / f"{name}.csv").open(newline="") as file:
        return dict(list(csv.reader(file))[1:])


def _stored_reports(connection: duckdb.DuckDBPyConnection) -> list[date]:
    rows = connection.execute(
        "select distinct report_date from kpi_internal.daily_engagement order by 1"
    ).fetchall()
    return [report_date for (report_date,) in rows]


def _stored(connection: duckdb.DuckDBPyConnection, mart: str, report_date: date) -> list[reference.Row]:
    """The rows of a mart as the reference writes them."""
    if mart == "errors_by_type":
        query = "select grain, period_start_date, error_code, failed_tests from kpi_internal.errors_by_type"
        result = connection.execute(f"{query} order by grain, period_start_date, error_code")
    else:
        query = f"select * from kpi_internal.{mart} where report_date = ? order by period_start_date"
        result = connection.execute(query, [report_date])
    columns = [column[0] for column in result.description]
    assert mart == "errors_by_type" or columns.pop() == "created_at"
    return [dict(zip(columns, row, strict=False)) for row in result.fetchall()]


def _fates(settled: reference.Settled, roles: dict[str, str]) -> reference.Row:
    return dict(sorted(Counter(reference.fates(settled, roles).values()).items()))


def _stored_fates(connection: duckdb.DuckDBPyConnection) -> reference.Row:
    query = "select fate, sum(lines)::bigint from kpi_internal.event_fates group by fate having sum(lines) > 0 order by 1"
    return dict(connection.execute(query).fetchall())


def _compare(name: str, expected: list[reference.Row], found: list[reference.Row]) -> list[str]:
    differences: list[str] = []
    if len(expected) != len(found):
        differences.append(f"{name}: expected {len(expected)} rows, found {len(found)}")
    for number, (want, have) in enumerate(zip(expected, found, strict=False)):
        if list(want) != list(have):
            differences.append(f"{name}: expected columns {list(want)}, found {list(have)}")
        differences += [
            f"{name}, row {number}, {column}: expected {want[column]!r}, found {have[column]!r}"
            for column in want
            if column in have and not _same(want[column], have[column])
        ]
    return differences


def _same(want: object, have: object) -> bool:
    """Whether type and value are the same; floats to 1e-12 of what they are."""
    if isinstance(want, float) and isinstance(have, float):
        return math.isclose(want, have, rel_tol=1e-12, abs_tol=1e-12)
    return type(want) is type(have) and want == have
