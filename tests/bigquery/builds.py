"""The same builds on DuckDB and in the warehouse that Google's engine works for, at the same frozen instants."""

import contextlib
import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import dbt.tracking
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from bigquery.client import dbt_works_with
from bigquery.scene import CLOCK
from bigquery.service import Service
from pipelines.warehouse import PROJECT_ROOT, Warehouse, environment

PROJECT = "reference"
VARIABLES = '{"report_periods": 2, "privacy_lateness_days": 90}'
"""Fewer periods shown than people have, and one month released: the reference implementation takes its time for each."""

_MANIFESTS: dict[str, Any] = {}


def manifest(target: str) -> Any:
    """What dbt read of the project for a target that something was built on."""
    return _MANIFESTS[target]


@contextlib.contextmanager
def running_at(instant: dt.datetime) -> Iterator[None]:
    """Let dbt take an instant for the one at which it was started."""
    begin = dbt.tracking.User.__init__

    def begin_then(user: Any, *arguments: Any) -> None:
        begin(user, *arguments)
        user.run_started_at = instant

    with patch.object(dbt.tracking.User, "__init__", begin_then):
        yield


def run(
    target: str,
    settings: dict[str, str],
    folder: str,
    arguments: list[str],
    instant: dt.datetime,
    reading: str | None = None,
    variables: str = VARIABLES,
) -> Any:
    """Run one dbt command in this process; gives its results. The project is read once for each target, or `reading`."""
    reading = reading or target
    places = [
        "--project-dir",
        str(PROJECT_ROOT),
        "--target-path",
        folder,
        "--log-path",
        folder,
        "--vars",
        variables,
    ]
    with environment(**settings), running_at(instant):
        if reading not in _MANIFESTS:
            parse = ["--quiet", "parse", "--no-partial-parse", "--target", target, *places]
            _MANIFESTS[reading] = dbtRunner().invoke(parse).result
        found: Any = dbtRunner(manifest=_MANIFESTS[reading]).invoke(
            ["--quiet", *arguments, "--target", target, "--threads", "1", *places]
        )
    if target == "duckdb":
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if found.exception:
        raise found.exception
    return found.result


def build_on_duckdb(warehouse: Warehouse, report_date: dt.date, instant: dt.datetime, *arguments: str) -> Any:
    """Run a command of dbt's over everything that the scene's warehouse holds."""
    settings = warehouse.dbt_environment() | {"KPI_REPORT_DATE": str(report_date)}
    return run("duckdb", settings, str(warehouse.state_folder / "dbt"), [*arguments], instant)


def build_by_reference(
    service: Service, warehouse: Warehouse, report_date: dt.date, instant: dt.datetime, *arguments: str
) -> Any:
    """Run a command of dbt-bigquery's over everything that the service's raw tables hold."""
    warehouse = replace(warehouse, target="bigquery")
    settings = warehouse.dbt_environment() | {
        "KPI_REPORT_DATE": str(report_date),
        "KPI_BIGQUERY_PROJECT": PROJECT,
        "KPI_REPORTING_TIMEZONE": CLOCK.timezone,
    }
    with dbt_works_with(service):
        return run("bigquery", settings, str(warehouse.state_folder / "dbt"), [*arguments], instant)
