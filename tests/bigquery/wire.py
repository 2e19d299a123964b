"""Builds over the wire: dbt-bigquery and Google's client library as they are, against the emulator."""

import datetime as dt
from pathlib import Path
from typing import Any

import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client, LoadJobConfig, SchemaField

from bigquery.builds import run
from bigquery.emulator import PROJECT, Emulator
from bigquery.engine import Path3, Table
from bigquery.scene import CLOCK
from pipelines.warehouse import PROJECT_ROOT, Warehouse


def client_of(emulator: Emulator) -> Client:
    """A client of the library's that asks the emulator."""
    return Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": emulator.url})  # type: ignore[no-untyped-call]


def profiles(emulator: Emulator, folder: Path) -> Path:
    """The project's own profiles, but for who is asked and what is shown there."""
    text = (PROJECT_ROOT / "profiles" / "profiles.yml").read_text(encoding="utf-8")
    content = yaml.safe_load(text)
    output = content["kpi"]["outputs"]["bigquery"]
    for name in ("keyfile", "impersonate_service_account"):
        output.pop(name, None)
    output |= {"method": "oauth-secrets", "token": "emulator", "scopes": [], "api_endpoint": emulator.url}
    folder.mkdir(exist_ok=True)
    (folder / "profiles.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def put(client: Client, raw: dict[Path3, Table]) -> None:
    """Load raw tables anew, by load jobs."""
    for (dataset, name), table in raw.items():
        client.create_dataset(f"{PROJECT}.{dataset}", exists_ok=True)
        schema = [SchemaField(column, type_) for column, type_ in table.types.items()]
        rows = [dict(zip(table.columns, map(_plain, row), strict=True)) for row in table.values()]
        settings = LoadJobConfig(schema=schema, write_disposition="WRITE_TRUNCATE")
        path = f"{PROJECT}.{dataset}.{name}"
        client.delete_table(path, not_found_ok=True)
        if rows:
            client.load_table_from_json(rows, path, job_config=settings).result()
        else:
            from google.cloud.bigquery import Table as Empty

            client.create_table(Empty(path, schema=schema))


def build(
    emulator: Emulator,
    warehouse: Warehouse,
    folder: Path,
    report_date: dt.date,
    instant: dt.datetime,
    command: str = "run",
) -> Any:
    """Build everything that the emulator's raw tables hold."""
    settings = warehouse.dbt_environment() | {
        "KPI_REPORT_DATE": str(report_date),
        "KPI_TARGET": "bigquery",
        "KPI_BIGQUERY_PROJECT": PROJECT,
        "KPI_REPORTING_TIMEZONE": CLOCK.timezone,
        "DBT_PROFILES_DIR": str(profiles(emulator, folder / "profiles")),
    }
    return run("bigquery", settings, str(folder / "dbt"), [command], instant, reading=emulator.url)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


__all__ = ["build", "client_of", "put"]
