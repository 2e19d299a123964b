"""`kpi doctor`: one line for each thing that has to be in order, with what to do where it is not."""

import json
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import KpiError
from pipelines.privacy.export import exports_in, read_export
from pipelines.privacy.identity import check_fingerprints, load_keys
from pipelines.privacy.stored_ledger import check_exports
from pipelines.sources.events.tables import ALL
from pipelines.sources.load import query
from pipelines.warehouse import PROJECT_ROOT, Warehouse, secret

_READERS = {"kpi_metrics": "kpi_published_readers", "kpi_internal": "kpi_internal_readers"}
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    said: str
    remedy: str | None = None
    """What to do; None where it is in order."""

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do."""
        return self.remedy is None


def examine(warehouse: Warehouse) -> Iterator[Check]:
    """Look at everything, one after the other; nothing is written and no key is made."""
    for name, look in _CHECKS.items():
        try:
            yield Check(name, look(warehouse))
        except KpiError as error:
            yield Check(name, error.problem, error.remedy)


def _time_zone(warehouse: Warehouse) -> str:
    return f"{warehouse.reporting_timezone}, where it is {warehouse.today()}"


def _warehouse(warehouse: Warehouse) -> str:
    if warehouse.target == "duckdb":
        if not warehouse.duckdb_path.exists():
            return f"{warehouse.duckdb_path.name} is not there yet; the first run makes it"
        with warehouse.reader() as connection:
            tables = connection.execute("select count(*) from information_schema.tables").fetchone()
        return f"{warehouse.duckdb_path.name} can be read, {tables[0] if tables else 0} tables"
    try:
        query(warehouse, "select 1 as answer")
    except KpiError:
        raise
    except Exception as error:  # each client has errors of its own
        raise KpiError(
            f"{warehouse.target} cannot be reached ({type(error).__name__}).",
            "Check the credentials and the project: see docs/bigquery.md.",
        ) from None
    return f"{warehouse.target} answers"


def _keys(warehouse: Warehouse) -> str:
    is_configured = bool(secret("kpi_user_key") or secret("kpi_record_key"))
    if not is_configured and warehouse.target == "duckdb" and not warehouse.keys_file.exists():
        if _fingerprints(warehouse):
            raise KpiError(
                f"{warehouse.keys_file} is gone, and the stored events were made with it.",
                "Put the file back from your backup; without it no further events can be loaded.",
            )
        return "none yet; the first load makes them, readable by their owner only"
    keys = load_keys(warehouse)
    for row in _fingerprints(warehouse)[:1]:
        check_fingerprints(keys, row)
    origin = "from the settings" if is_configured else f"in {warehouse.keys_file.name}, for its owner only"
    return f"{origin}, record key {keys.fingerprints()['record_key']}"


def _fingerprints(warehouse: Warehouse) -> list[dict[str, Any]]:
    return query(
        warehouse,
        f"select distinct user_key, record_key from {warehouse.dataset('events')}.key_fingerprints",  # noqa: S608 - a name of ours
    )


def _file_rights(warehouse: Warehouse) -> str:
    files = [warehouse.keys_file, PROJECT_ROOT / ".dlt" / "secrets.toml"]
    open_files = [path for path in files if path.exists() and path.stat().st_mode & _OTHERS]
    if open_files:
        raise KpiError(
            f"{', '.join(str(path) for path in open_files)} can be read by others than the owner.",
            f"Run: chmod 600 {' '.join(str(path) for path in open_files)}",
        )
    return "keys and secrets are readable by their owner only"


def _allowlists(warehouse: Warehouse) -> str:
    allowed = {f"{warehouse.dataset('events')}.{name}": set(schema.names) for name, schema in ALL.items()}
    # BigQuery keeps these views in each dataset.
    place = f"{warehouse.dataset('events')}." if warehouse.target == "bigquery" else ""
    rows = query(
        warehouse,
        f"select table_name, column_name from {place}INFORMATION_SCHEMA.COLUMNS where table_schema = %s",  # noqa: S608 - a name of ours
        warehouse.dataset("events"),
    )
    found = {(f"{warehouse.dataset('events')}.{row['table_name']}", row["column_name"]) for row in rows}
    extra = sorted(
        f"{table}.{column}"
        for table, column in found
        if table in allowed and column not in allowed[table] and column != "_dlt_id"
    )
    if extra:
        raise KpiError(
            f"Columns that no allowlist names: {', '.join(extra)}.",
            "Find out who added them, and drop them: alter table … drop column …",
        )
    return f"{len(found)} raw columns of events, each one named in an allowlist"


def _grants(warehouse: Warehouse) -> str:
    if warehouse.target != "bigquery":
        return (
            "a DuckDB file has none: keep the file to people who may see exact figures, and hand out exports"
        )
    from pipelines import bigquery

    readers = {schema: bigquery.readers(name) for schema, name in _READERS.items()}
    if not any(readers.values()):
        raise KpiError(
            "No readers are named: who may read which mart is left to the datasets' own rights.",
            "Set KPI_PUBLISHED_READERS and KPI_INTERNAL_READERS, such as group:partners@example.com, then: kpi build",
        )
    only_published = readers["kpi_metrics"] - readers["kpi_internal"]
    open_to = [
        f"{schema} to {grantee}"
        for schema in bigquery.CLOSED_SCHEMAS
        for grantee in bigquery.grantees(warehouse, f"{warehouse.schema_prefix}{schema}")
        if grantee in only_published | bigquery.EVERYBODY
    ]
    if open_to:
        raise KpiError(
            f"More is open than the published figures: {', '.join(open_to)}.",
            "Take these rights away in the datasets' sharing settings: readers get theirs table by table.",
        )
    told = ", ".join(f"{schema}: {len(names)}" for schema, names in readers.items())
    return f"readers named ({told}); none of the published figures' readers is let into another dataset"


def _derivations(warehouse: Warehouse) -> str:
    path = warehouse.state_folder / "dbt" / "manifest.json"
    if not path.exists():
        return "nothing is built yet"
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    published = [node for node in nodes if node.get("path", "").startswith("marts/published/published_")]
    lacking = sorted(
        f"{node['name']}.{name}"
        for node in published
        for name, column in node["columns"].items()
        if not ((column.get("config") or {}).get("meta") or column.get("meta") or {}).get("derivation")
    )
    if lacking:
        raise KpiError(
            f"Published columns without a derivation: {', '.join(lacking)}.",
            "Say in the .yml how each is made from released leaves (config: meta: derivation).",
        )
    return f"{len(published)} published marts, each column explained"


def _ledger(warehouse: Warehouse) -> str:
    check_exports(warehouse)
    exports = exports_in(warehouse.exports_folder)
    if not exports:
        return f"no exports in {_shown(warehouse.exports_folder)}"
    newest = read_export(exports[-1])
    if newest.findings:
        raise KpiError(
            f"The newest export is damaged: {newest.findings[0]}.",
            "Put it back from your backup, or delete it and run: kpi publish",
        )
    return f"the ledger holds what {len(exports)} exports show, the newest of {newest.name}"


def _shown(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path)


_CHECKS: dict[str, Callable[[Warehouse], str]] = {
    "time zone": _time_zone,
    "warehouse": _warehouse,
    "keys": _keys,
    "file rights": _file_rights,
    "allowlists": _allowlists,
    "derivations": _derivations,
    "grants": _grants,
    "ledger and exports": _ledger,
}
