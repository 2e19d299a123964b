"""The commands of `kpi`, in this process, on DuckDB and on the warehouse that Google's engine works for."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from click.testing import CliRunner
from marts_support import RECORD_KEY, USER_KEY

from bigquery.builds import PROJECT
from bigquery.client import everything_works_with
from bigquery.scene import REPORTS
from bigquery.service import Service
from pipelines.cli import cli
from pipelines.warehouse import Warehouse, environment

LOOKS = (
    ("status",),
    ("explain", "all_tests"),
    ("explain", "avg_tests_per_active_user", "--grain", "week", "--date", "2024-12-11"),
    ("explain", "total_errors", "--grain", "month"),
    ("explain", "mrr_amount"),
    ("explain", "support_tickets", "--date", "2025-03-29"),
    ("explain", "github_stars"),
    ("explain", "no_such_metric"),
    ("digest", "--date", str(REPORTS[1]), "--to", "text"),
    ("digest", "--date", str(REPORTS[1]), "--to", "html", "--dry-run"),
)
"""What only looks, and must say the same on both warehouses."""


@dataclass(frozen=True)
class Said:
    """What one command gave."""

    code: int
    shown: str
    """Standard output."""
    complained: str
    """Standard error, without the seconds that have passed."""


def on_google(warehouse: Warehouse) -> Warehouse:
    """The warehouse on BigQuery that stands beside one on DuckDB."""
    return replace(warehouse, target="bigquery")


def kpi(warehouse: Warehouse, service: Service, *arguments: str, **settings: str) -> Said:
    """Run one command; `settings` are more of them, for this run only."""
    credentials = warehouse.duckdb_path.with_name("credentials.json")
    # Never used: no client of the library is made.
    content = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    credentials.write_text(json.dumps(content), encoding="utf-8")
    given = {
        "KPI_TARGET": warehouse.target,
        "KPI_DUCKDB_PATH": str(warehouse.duckdb_path),
        "KPI_REPORTING_TIMEZONE": warehouse.reporting_timezone,
        "KPI_SEEDS_PATH": str(warehouse.seeds_path or ""),
        "KPI_EXPORTS_PATH": str(exports(warehouse)),
        "KPI_USER_KEY": USER_KEY,
        "KPI_RECORD_KEY": RECORD_KEY,
        "KPI_BIGQUERY_PROJECT": PROJECT,
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
    }
    with everything_works_with(service), environment(**given | settings):
        done = CliRunner().invoke(cli, list(arguments), prog_name="kpi")
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    complained = [line.partition("s] ")[2] or line for line in done.stderr.splitlines()]
    return Said(done.exit_code, done.stdout, "\n".join(complained))


def exports(warehouse: Warehouse) -> Path:
    """Where the exports of a warehouse lie."""
    return warehouse.duckdb_path.with_name(f"exports of {warehouse.target}")
