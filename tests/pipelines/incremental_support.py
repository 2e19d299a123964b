"""Random histories of raw events, loaded step by step and built incrementally, to hold against one full refresh."""

import datetime as dt
import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from dbt_support import invoke, lend_reading

from pipelines.warehouse import PROJECT_ROOT, Warehouse

FIRST_DAY = dt.date(2026, 1, 30)
MARTS = (
    *(
        f"{grain}_{subject}"
        for grain in ("daily", "weekly", "monthly")
        for subject in ("engagement", "advanced_metrics", "errors", "funnel")
    ),
    "errors_by_type",
    "event_fates",
)
SELECTED = ["stg_events__files", *(f"+{mart}" for mart in MARTS)]

MODELS = (
    *(
        "stg_events__events",
        "stg_events__loads",
        "stg_events__files",
        "stg_events__quarantine",
        "stg_events__erasures",
        "report_dates",
    ),
    *(
        "report_periods",
        "int_metric_periods",
        "int_period_days",
        "int_rejected_lines",
        "int_event_arrivals",
        "int_load_days",
        "int_events",
    ),
    *("int_tests", "int_fate_days", "int_user_days", "int_test_days", "int_sessions", "int_session_days"),
    *("int_users", "int_period_users", "int_report_versions", "int_advanced_metrics_reports"),
    *("int_errors_reports", "int_engagement_reports", "int_funnel_reports"),
)
"""All models of events, in an order in which they can be built."""

_TABLES = """
create schema raw_events;
create table raw_events.events (
    event_id varchar, event_key varchar, service_key varchar, user_key varchar, record_key bigint,
    session_id varchar, status varchar, error_code varchar, is_test boolean, occurred_at timestamptz,
    received_at timestamptz, source_file varchar, line_number bigint, loaded_at timestamptz, _dlt_load_id varchar);
create table raw_events.quarantine (
    source_file varchar, line_number bigint, reason varchar, field varchar, line_hash varchar, event_id varchar,
    loaded_at timestamptz, _dlt_load_id varchar);
create table raw_events.files (
    source_file varchar, size_bytes bigint, modified_at timestamptz, lines bigint, events bigint,
    quarantined bigint, loaded_at timestamptz, _dlt_load_id varchar);
create table raw_events.erasures (
    erasure_id varchar, erased_at timestamptz, loaded_at timestamptz, _dlt_load_id varchar);
create table raw_events.key_fingerprints (
    user_key varchar, record_key varchar, loaded_at timestamptz, _dlt_load_id varchar);
create table raw_events._dlt_loads (
    load_id varchar, schema_name varchar, status bigint, inserted_at timestamptz, schema_version_hash varchar);
"""

Row = tuple[Any, ...]


def run(
    warehouse: Warehouse,
    report_date: dt.date,
    full_refresh: bool = False,
    select: list[str] | None = None,
    backfill_from: dt.date | None = None,
    tested: bool = False,
) -> None:
    """Build the models in this process; with their data tests only where that is asked for."""
    backfill = f", backfill_from: {backfill_from}, backfill_to: {report_date}" if backfill_from else ""
    arguments = [
        "build" if tested else "run",
        *("--vars", f"{{report_date: {report_date}{backfill}}}"),
        *(["--exclude-resource-type", "unit_test"] if tested else []),
        *(["--full-refresh"] if full_refresh else []),
        *("--select", *(select or SELECTED)),
    ]
    invoke(warehouse, arguments)


def seed(warehouse: Warehouse) -> None:
    """Load the seeds that events are read with."""
    invoke(warehouse, ["seed", "--select", "event_roles", "error_types"])


@dataclass
class Shop:
    """A warehouse whose raw events are written here, load by load."""

    folder: Path
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        if not self.warehouse.duckdb_path.exists():
            self.execute(_TABLES)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse("duckdb", self.folder / "shop.duckdb", "", self.timezone)

    def copy(self, name: str) -> "Shop":
        """A second warehouse with all that stands in this one."""
        folder = self.folder / name
        folder.mkdir()
        self.execute("force checkpoint")
        shutil.copy(self.warehouse.duckdb_path, folder)
        return Shop(folder, self.timezone)

    def execute(self, statements: str) -> list[Row]:
        with duckdb.connect(str(self.warehouse.duckdb_path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            result = connection.execute(statements)
            return result.fetchall() if result.description else []

    def load(self, load_id: str, lines: list[Row], *, completed: bool = True, repeated: bool = False) -> None:
        """Write one load; cut off before its end, or with its rows written twice, where that is asked for."""
        with duckdb.connect(str(self.warehouse.duckdb_path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            for _ in range(1 + repeated):
                rows = [
                    (*line, f"{load_id}.jsonl", number, _loaded_at(load_id), load_id)
                    for number, line in enumerate(lines, 1)
                ]
                connection.executemany(f"insert into raw_events.events values ({', '.join('?' * 15)})", rows)
                connection.execute(
                    "insert into raw_events.files values (?, 1, null, ?, ?, 0, ?, ?)",
                    [f"{load_id}.jsonl", len(lines), len(lines), _loaded_at(load_id), load_id],
                )
        if completed:
            self.complete(load_id)

    def complete(self, load_id: str) -> None:
        self.execute(f"insert into raw_events._dlt_loads values ('{load_id}', 'events', 0, now(), '')")

    def build(
        self,
        report_date: dt.date,
        *,
        full_refresh: bool = False,
        select: list[str] | None = None,
        backfill_from: dt.date | None = None,
        tested: bool = False,
    ) -> None:
        run(self.warehouse, report_date, full_refresh, select, backfill_from, tested)

    def seed(self) -> None:
        seed(self.warehouse)

    def build_and_kill(self, report_date: dt.date, seconds: float) -> bool:
        """Start dbt as a process of its own and kill it after so many seconds; whether it was still at work."""
        state = self.warehouse.state_folder / "killed"
        lend_reading(self.warehouse.duckdb_path, state)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dbt.cli.main", "--quiet", "run", "--select", *SELECTED),
                *("--target", "duckdb", "--target-path", str(state), "--log-path", str(state)),
            ],
            cwd=PROJECT_ROOT,
            env=self.warehouse.dbt_environment() | {"KPI_REPORT_DATE": str(report_date)},
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return True
        return False

    def marts(self) -> dict[str, list[Row]]:
        """Every row of every mart and of the conflicts in quarantine, without created_at."""
        asked = {
            mart: f"select * exclude (created_at) from kpi_internal.{mart} order by all" for mart in MARTS
        } | {"conflicts": "select * from raw_events.quarantine where reason = 'conflict' order by all"}
        # To open the file takes longer than most answers.
        with duckdb.connect(str(self.warehouse.duckdb_path)):
            return {name: self.execute(query) for name, query in asked.items()}


def _loaded_at(load_id: str) -> dt.datetime:
    return dt.datetime.combine(FIRST_DAY, dt.time(3), dt.UTC) + dt.timedelta(days=int(load_id))


def lines_of_day(chance: random.Random, day: dt.date, known: list[Row], events: int = 40) -> list[Row]:
    """Make up what arrives on one day: events of the day, late ones, copies and changes of what is known."""
    lines: list[Row] = []
    for _ in range(events):
        kind = chance.choice(("new", "new", "new", "new", "new", "late", "copy", "change"))
        if kind in {"copy", "change"} and known:
            line = chance.choice(known)
            if kind == "change":
                # Received earlier or later, so that either may win; often on another day, or another user's.
                other = _line(chance, day, chance.choice((0, 1, 2, 30, 300)))
                line = (line[0], *other[1:10], chance.choice((other[10], line[9] - dt.timedelta(days=400))))
        else:
            line = _line(chance, day, chance.choice((1, 2, 9, 40, 370)) if kind == "late" else 0)
        lines.append(line)
        known.append(line)
    return lines


def _line(chance: random.Random, day: dt.date, days_late: int) -> Row:
    hours = chance.choice((0.0, 0.01, 4.99, 5.01, 12.0, 23.99, chance.random() * 24))
    occurred_at = dt.datetime.combine(day, dt.time(), dt.UTC) + dt.timedelta(hours=hours, days=-days_late)
    user = chance.choice((None, *"abcdefghijklm"))
    test = chance.random() < 0.8
    return (
        f"e{chance.randrange(10**9)}",
        "test_completed" if test else chance.choice(("account_created", "account_created", "page_viewed")),
        chance.choice(("app", None)),
        user,
        None if user is None else ord(user),
        chance.choice((None, "x", f"{day}", f"{day}", f"{day}-{chance.randrange(3)}")),
        chance.choice(("success", "error", "error", "odd")) if test else None,
        chance.choice((None, "camera_too_far", "analysis_error", "unheard_of")),
        chance.random() < 0.05,
        occurred_at,
        chance.choice((None, occurred_at + dt.timedelta(seconds=chance.choice((0, 1, 3600))))),
    )
