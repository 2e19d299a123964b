"""The whole way on a real BigQuery, small: load, build, load again, build again, look, clean up. Run by `make smoke-bigquery`.

It is no test of `make test`: it needs a project, credentials and the pseudonym keys. Its datasets begin with a prefix of their own, and
are deleted at the end, whatever happened.
"""

import datetime as dt
import json
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipelines import bigquery
from pipelines.errors import KpiError
from pipelines.sources.load import query
from pipelines.warehouse import PROJECT_ROOT, environment, warehouse

PREFIX = f"smoke_{dt.datetime.now(dt.UTC):%Y%m%d%H%M%S}_"
LOOKS = (
    ["status"],
    ["doctor"],
    ["explain", "all_tests"],
    ["digest", "--dry-run", "--to", "text"],
)
"""What is looked at in between; the doctor complains where no readers are named."""


def main() -> None:
    """Try everything; exit code 0 where every figure is as it must be."""
    settings = {
        "KPI_TARGET": "bigquery",
        "KPI_SCHEMA_PREFIX": PREFIX,
        "KPI_USER_KEY": secrets.token_hex(32),
        "KPI_RECORD_KEY": secrets.token_hex(32),
    }
    with tempfile.TemporaryDirectory() as folder:
        settings |= {"KPI_DUCKDB_PATH": f"{folder}/warehouse.duckdb", "KPI_INBOX_PATH": f"{folder}/inbox"}
        settings |= {"SOURCES__EVENTS__PATH": f"{folder}/events", "KPI_EXPORTS_PATH": f"{folder}/exports"}
        with environment(**settings):
            try:
                bigquery.destination()
            except KpiError as error:
                sys.exit(f"Error: {error}")
            try:
                try_it(Path(folder) / "events")
            except KpiError as error:
                sys.exit(f"Error: {error}")
            finally:
                clean_up()
    print("All well.")


def try_it(events: Path) -> None:
    """Load and build twice; the second time with a late event and a copy."""
    events.mkdir()
    today = warehouse().today()
    days = [today - dt.timedelta(days=number) for number in range(5)]
    write(events / "first.jsonl", [event(f"a{number}", day) for number, day in enumerate(days)])
    kpi("run")
    expect(f"select sum(tests) as found from {PREFIX}intermediate.int_user_days", 5)
    write(events / "second.jsonl", [event("late", days[3]), event("a0", days[0])])
    kpi("run")
    expect(f"select sum(tests) as found from {PREFIX}intermediate.int_user_days", 6)
    expect(f"select count(*) as found from {PREFIX}raw_events.events", 7)
    expect(
        f"select all_tests as found from {PREFIX}kpi_internal.daily_engagement"
        f" where report_date = '{today}' and period_start_date = '{days[3]}'",
        2,
    )
    for command in LOOKS:
        kpi(*command, may_fail=command == ["doctor"])
    kpi("forget", "person")
    expect(f"select count(*) as found from {PREFIX}raw_events.events", 0)


def event(event_id: str, day: dt.date) -> dict[str, Any]:
    """One successful attempt at the core action."""
    return {
        "event_id": event_id,
        "event_key": "test_completed",
        "user_id": "person",
        "occurred_at": f"{day}T00:00:01Z",
        "metadata": {"session_id": event_id, "status": "success"},
    }


def write(path: Path, lines: list[dict[str, Any]]) -> None:
    """Write an event file."""
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


def kpi(*arguments: str, may_fail: bool = False) -> None:
    """Run one command and show what it says."""
    print(f"$ kpi {' '.join(arguments)}", flush=True)
    done = subprocess.run(
        [str(Path(sys.executable).parent / "kpi"), *arguments], cwd=PROJECT_ROOT, check=False
    )
    if done.returncode and not may_fail:
        sys.exit(f"kpi {arguments[0]} ended with {done.returncode}.")


def expect(sql: str, wanted: int) -> None:
    """Compare one number of the warehouse."""
    rows = query(warehouse(), sql)
    found = rows[0]["found"] if rows else None
    if found != wanted:
        sys.exit(f"{sql}\n  gave {found}, not {wanted}.")


def clean_up() -> None:
    """Delete every dataset of this run; each deletion is tried, and what stays is named."""
    with warehouse().pipeline("queries").sql_client() as client:
        native = client.native_connection
        ours = [each.dataset_id for each in native.list_datasets() if each.dataset_id.startswith(PREFIX)]
        for name in ours:
            native.delete_dataset(name, delete_contents=True, not_found_ok=True)
            print(f"Deleted {name}", flush=True)


if __name__ == "__main__":
    main()
