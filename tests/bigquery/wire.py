"""Loads and builds over the wire: dlt, dbt-bigquery and Google's client library as they are, against the emulator."""

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud.bigquery import Client, LoadJobConfig, SchemaField
from google.cloud.bigquery import Table as Described
from marts_support import RECORD_KEY, USER_KEY

from bigquery.builds import manifest, run
from bigquery.emulator import PROJECT, Emulator
from bigquery.engine import Path3, Table
from bigquery.parity import STARTED, compared
from bigquery.scene import CLOCK, REPORTS, Scene
from bigquery.test_reference import on_purpose
from pipelines.warehouse import PROJECT_ROOT, Warehouse, environment

READERS = {
    "KPI_PUBLISHED_READERS": "group:partners@company.example user:auditor@company.example",
    "KPI_INTERNAL_READERS": "group:company@company.example",
}
"""Who may read what, in both builds."""


@dataclass
class Wire:
    """An emulator in which everything was built twice, beside DuckDB."""

    emulator: Emulator
    folder: Path
    raw: dict[Path3, Table] = field(default_factory=dict)
    """What was loaded last."""
    results: list[list[tuple[str, str, str]]] = field(default_factory=list)
    """Unique id, status and message of each model, by build."""
    sent: list[list[str]] = field(default_factory=list)
    """The statements of each build."""
    compared: set[str] = field(default_factory=set)
    different: list[str] = field(default_factory=list)
    """What is not DuckDB's after the second build."""
    read: set[str] = field(default_factory=set)
    """The statements by which these were compared."""

    def go(self) -> "Wire":
        """Load and build twice; compare."""
        scene = Scene(self.folder)
        for step, report_date in enumerate(REPORTS):
            scene.load(step)
            self._put(scene.raw())
            for command in ("seed", "run")[step:]:
                folder = str(scene.warehouse.state_folder / "dbt")
                settings = scene.warehouse.dbt_environment() | {"KPI_REPORT_DATE": str(report_date)}
                run("duckdb", settings, folder, [command], STARTED[step])
            if step == 0:
                self._dbt(scene.warehouse, step, "seed")
            before = len(self.emulator.statements())
            # The views of raw tables stay as they are.
            again = [] if step == 0 else ["--exclude", "path:models/staging"]
            results = self._dbt(scene.warehouse, step, "run", *again)
            self.results.append(
                [(each.node.unique_id, str(each.status), str(each.message)) for each in results]
            )
            self.sent.append(self.emulator.statements()[before:])
        self._compare(scene)
        return self

    @property
    def nodes(self) -> dict[str, Any]:
        """Models and seeds, by unique id."""
        found = manifest(self.emulator.url).nodes
        return {name: node for name, node in found.items() if node.resource_type in {"model", "seed"}}

    @cached_property
    def client(self) -> Client:
        """A client of the library's that asks the emulator."""
        return Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": self.emulator.url})  # type: ignore[no-untyped-call]

    def rows(self, name: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows of a table or view, such as `kpi_internal.daily_mrr`."""
        statement = f"select * from {name}"
        self.read.add(statement)
        found = self.client.query(statement).result()
        return [column.name for column in found.schema], [tuple(row.values()) for row in found]

    def _compare(self, scene: Scene) -> None:
        for node in self.nodes.values():
            name = f"{node.schema}.{node.alias}"
            columns, rows = self.rows(name)
            self.compared.add(name)
            found = compared(scene, name, columns, rows, "in the emulator")
            self.different += [line for line in found if not on_purpose(line, len(REPORTS) - 1)]

    def _put(self, raw: dict[Path3, Table]) -> None:
        """Load the raw tables that changed, by load jobs."""
        for dataset in {path[0] for path in raw} - {path[0] for path in self.raw}:
            self.client.create_dataset(f"{PROJECT}.{dataset}", exists_ok=True)
        for path, table in raw.items():
            if path in self.raw and self.raw[path].rows == table.rows:
                continue
            schema = [SchemaField(column, type_) for column, type_ in table.types.items()]
            name = ".".join((PROJECT, *path))
            rows = [dict(zip(table.columns, map(_plain, row), strict=True)) for row in table.values()]
            if rows:
                settings = LoadJobConfig(schema=schema, write_disposition="WRITE_TRUNCATE")
                self.client.load_table_from_json(rows, name, job_config=settings).result()
            else:
                self.client.delete_table(name, not_found_ok=True)
                self.client.create_table(Described(name, schema=schema))
        self.raw = raw

    def _dbt(self, warehouse: Warehouse, step: int, *arguments: str) -> Any:
        settings = warehouse.dbt_environment() | {
            "KPI_REPORT_DATE": str(REPORTS[step]),
            "KPI_TARGET": "bigquery",
            "KPI_BIGQUERY_PROJECT": PROJECT,
            "KPI_REPORTING_TIMEZONE": CLOCK.timezone,
            "DBT_PROFILES_DIR": str(self._profiles()),
            **READERS,
        }
        folder = str(self.folder / "dbt")
        return run("bigquery", settings, folder, list(arguments), STARTED[step], reading=self.emulator.url)

    def _profiles(self) -> Path:
        """The project's own profiles, but for who is asked and what is shown there."""
        folder = self.folder / "profiles"
        if not folder.exists():
            content = yaml.safe_load((PROJECT_ROOT / "profiles" / "profiles.yml").read_text(encoding="utf-8"))
            output = content["kpi"]["outputs"]["bigquery"]
            for name in ("keyfile", "impersonate_service_account"):
                output.pop(name)
            output |= {"method": "oauth-secrets", "token": "emulator", "scopes": []}
            output |= {"api_endpoint": self.emulator.url}
            folder.mkdir()
            (folder / "profiles.yml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return folder

    @contextlib.contextmanager
    def warehouses(self, name: str) -> Iterator[tuple[Warehouse, Warehouse]]:
        """An empty warehouse on DuckDB and one in the emulator, for what the project's own loaders load."""
        folder = self.folder / name
        folder.mkdir()
        credentials = folder / "credentials.json"
        shown = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
        credentials.write_text(
            json.dumps(shown | {"token": "emulator", "expiry": "2099-01-01T00:00:00Z"}), encoding="utf-8"
        )
        settings = {
            "KPI_BIGQUERY_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
            "BIGQUERY_EMULATOR_HOST": self.emulator.url,
            "KPI_USER_KEY": USER_KEY,
            "KPI_RECORD_KEY": RECORD_KEY,
        }
        with environment(**settings):
            yield (
                Warehouse("duckdb", folder / "duckdb" / "warehouse.duckdb", f"{name}_", "UTC"),
                Warehouse("bigquery", folder / "bigquery" / "warehouse.duckdb", f"{name}_", "UTC"),
            )


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
