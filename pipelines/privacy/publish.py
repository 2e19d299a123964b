"""`kpi publish`: the protected marts of one report out of the warehouse, as files that passed the attacker."""

import datetime as dt
import json
import re
import shutil
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipelines.errors import KpiError, SettingError
from pipelines.privacy.audit import AuditReport, audit
from pipelines.privacy.export import MANIFEST, exports_in, read_export
from pipelines.privacy.export_writer import Described, export_files, move_into_place, write_folder
from pipelines.privacy.leaves import Parameters
from pipelines.privacy.ledger import LEDGER_TABLE, LONG_TABLE, PARAMETERS_TABLE, SCHEMA, Ledger
from pipelines.privacy.periods import ADJECTIVES
from pipelines.privacy.tables import TYPES, Table
from pipelines.sources.load import Progress, query
from pipelines.warehouse import Warehouse

_REPORT_DATE = "report_date"


@dataclass(frozen=True)
class Published:
    """What one run of publish did."""

    folder: Path
    report_date: dt.date
    is_new: bool
    """False where the export was there already, and says the same."""
    tables: int
    rows: int
    audit: AuditReport | None = None


@dataclass(frozen=True)
class _Model:
    """A published table as dbt describes it."""

    name: str
    description: str
    columns: dict[str, dict[str, Any]]

    def derivations(self) -> dict[str, str]:
        found = {
            name: ((column.get("config") or {}).get("meta") or column.get("meta") or {}).get("derivation")
            for name, column in self.columns.items()
        }
        return {name: " ".join(str(text).split()) for name, text in found.items() if text}


def publish(
    warehouse: Warehouse, folder: Path, progress: Progress, report_date: dt.date | None = None
) -> Published:
    """Write the export of a report (default: the newest) into `folder`, unless it is there already.

    Raises KpiError where there is nothing to publish, where the attacker finds anything in it, or where an earlier export
    of the same day says something else.
    """
    models = _models(warehouse)
    progress("Reading the published tables")
    ledger_rows = _rows(warehouse, LEDGER_TABLE)
    parameter_rows = _rows(warehouse, PARAMETERS_TABLE)
    if not ledger_rows:
        raise KpiError(
            "Nothing has been released yet.",
            "A period is released some days after its end (privacy_lateness_days): build again then. kpi build",
        )
    day = report_date or _newest(warehouse, models)
    tables = _tables(warehouse, models, day, ledger_rows, parameter_rows)
    _check_finished(warehouse, day, tables)
    public = _public_metrics(warehouse, tables)
    files = export_files(day, tables, public)
    target = folder / day.isoformat()
    rows = sum(len(described.table.rows) for described in tables)
    for left in folder.glob(".*.writing"):
        # A killed run left it.
        shutil.rmtree(left, ignore_errors=True)
    if target.exists() and not (target / MANIFEST).exists():
        raise KpiError(
            f"{target} is there already, and is no export (it has no {MANIFEST}).",
            "Move it away, then publish again: kpi publish",
        )
    if (target / MANIFEST).exists():
        _check_unchanged(target, tables, set(public))
        return Published(target, day, False, len(tables), rows)
    scratch = folder / f".{day}.writing"
    try:
        write_folder(scratch, files)
        progress("Attacking the export before it is published")
        report = audit([*_neighbours(folder, day), scratch], progress)
        if not report.is_safe:
            raise KpiError(
                f"The export of {day} is not written, because the attacker found in it: {report.findings[0]}"
                + (f" (and {len(report.findings) - 1} more)" if len(report.findings) > 1 else ""),
                "Nothing was published. Look at the model of that column; the ledger itself is as it was.",
            )
        move_into_place(scratch, target)
    except OSError as error:
        raise KpiError(
            f"The export cannot be written into {folder} ({error.strerror or type(error).__name__}).",
            "Name a folder that you may write, on a disk with room: kpi publish --to DIR",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Published(target, day, True, len(tables), rows, report)


def _check_finished(warehouse: Warehouse, day: dt.date, tables: list[Described]) -> None:
    """Raise KpiError where a table does not show the periods that the ledger has for the report: its build was cut off."""
    reports = f"{warehouse.schema_prefix}intermediate.int_released_reports"
    rows = query(
        warehouse,
        f"select grain, period_start_date from {reports} where report_date = %s",  # noqa: S608 - a name of ours
        day,
    )
    due = {(row["grain"], row["period_start_date"]) for row in rows}
    for described in tables:
        shown = described.table.dicts()
        if described.grain is not None:
            periods = {(described.grain, row["period_start_date"]) for row in shown}
            is_finished = periods == {period for period in due if period[0] == described.grain}
        elif described.table.name == LONG_TABLE:
            # What is read from the web has days only, and a catalogue that publishes no metric leaves the table empty.
            periods = {(row["grain"], row["period_start_date"]) for row in shown}
            grains = {grain for grain, _ in periods}
            is_finished = {period for period in due if period[0] in grains} <= periods and (
                bool(grains) or not due or not _publishes_metrics(warehouse)
            )
        else:
            continue
        if not is_finished:
            raise KpiError(
                f"{described.table.name} is not that of the report of {day}: the last build did not come to its end.",
                f"Build it first: kpi build --date {day}",
            )


def _publishes_metrics(warehouse: Warehouse) -> bool:
    metrics = f"{warehouse.schema_prefix}seeds.metrics"
    return bool(query(warehouse, f"select 1 from {metrics} where audience = 'published' limit 1"))  # noqa: S608 - a name of ours


def _neighbours(folder: Path, day: dt.date) -> list[Path]:
    """Give the exports of just before and just after a day: what both of them show must be what this one shows."""
    exports = exports_in(folder)
    before = [path for path in exports if path.name < day.isoformat()]
    after = [path for path in exports if path.name > day.isoformat()]
    return [*before[-1:], *after[:1]]


def _check_unchanged(target: Path, tables: list[Described], public: set[str]) -> None:
    found = read_export(target)
    problems = [str(finding) for finding in found.findings]
    for described in tables:
        here, there = described.table, found.tables.get(described.table.name)
        if there is None:
            # An export of before the table was published.
            continue
        if here.name == LONG_TABLE:
            # Which metrics are published is the catalogue's to say; what was read from the web may have been read again.
            kept = (_metrics(here) & _metrics(there)) - public - found.public_metrics()
            here, there = (_only(table, kept) for table in (here, there))
        if there.rows != here.rows:
            problems.append(f"{here.name} has other rows in the warehouse")
    if problems:
        raise KpiError(
            f"{target} was published before, and is not what the warehouse says now: {problems[0]}.",
            "Released figures never change. Put the folder, or the ledger of the warehouse, back from your backup "
            "(kpi privacy restore DIR brings back a ledger that is gone).",
        )


def _metrics(table: Table) -> set[str]:
    return {row["metric_key"] for row in table.dicts()}


def _only(table: Table, metrics: set[str]) -> Table:
    place = table.column_names().index("metric_key")
    return Table(table.name, table.columns, tuple(row for row in table.rows if row[place] in metrics))


def _public_metrics(warehouse: Warehouse, tables: list[Described]) -> list[str]:
    """Name the metrics of the long table that are read from the web: by the readings, not by what else explains none."""
    read = query(
        warehouse,
        f"select distinct metric_key from {warehouse.schema_prefix}kpi_internal.scraped_figures",  # noqa: S608 - a name of ours
    )
    published = {
        metric
        for described in tables
        if described.table.name == LONG_TABLE
        for metric in _metrics(described.table)
    }
    return sorted(published & {row["metric_key"] for row in read})


def _models(warehouse: Warehouse) -> list[_Model]:
    """Read from dbt's manifest what is published."""
    path = warehouse.state_folder / "dbt" / "manifest.json"
    schema = f"{warehouse.schema_prefix}{SCHEMA}"
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"].values()
    except (OSError, ValueError, KeyError):
        raise KpiError("Nothing has been built yet.", "Build first: kpi build") from None
    found = [
        _Model(node["alias"], " ".join(node["description"].split()), node["columns"])
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] == schema
    ]
    return sorted(found, key=lambda model: model.name)


def _newest(warehouse: Warehouse, models: list[_Model]) -> dt.date:
    dates: list[dt.date] = [
        row["newest"]
        for model in models
        if _REPORT_DATE in model.columns
        for row in query(
            warehouse,
            f"select max({_REPORT_DATE}) as newest from {_place(warehouse, model.name)}",  # noqa: S608 - names of ours
        )
        if row["newest"] is not None
    ]
    if not dates:
        raise KpiError("No protected report has been built yet.", "Build first: kpi build")
    return max(dates)


def _tables(
    warehouse: Warehouse,
    models: list[_Model],
    day: dt.date,
    ledger_rows: list[dict[str, Any]],
    parameter_rows: list[dict[str, Any]],
) -> list[Described]:
    lateness = {row["parameters_id"]: Parameters.of(row).lateness_days for row in parameter_rows}
    released = Ledger.of(ledger_rows).until(day, lateness).releases
    used = {release.parameters_id for release in released.values()}
    tables = []
    for model in models:
        if model.name == LEDGER_TABLE:
            rows = [
                row
                for row in ledger_rows
                if (row["family"], row["grain"], row["period_start_date"], row["cell"]) in released
            ]
        elif model.name == PARAMETERS_TABLE:
            rows = [row for row in parameter_rows if row["parameters_id"] in used]
        elif _REPORT_DATE in model.columns:
            rows = [row for row in _rows(warehouse, model.name) if row[_REPORT_DATE] == day]
        elif model.name == LONG_TABLE:
            periods = {(key.grain, key.start) for key in released}
            rows = [
                row
                for row in _rows(warehouse, model.name)
                if (row["grain"], row["period_start_date"]) in periods
            ]
        else:
            rows = _rows(warehouse, model.name)
        tables.append(_described(model, rows))
    marts = [described for described in tables if described.grain is not None]
    if not any(described.table.rows for described in marts):
        raise SettingError(
            f"There is no protected report of {day} with a released period.",
            "Name the date of a report that was built, or build it: kpi build --date YYYY-MM-DD",
        )
    return tables


def _described(model: _Model, rows: list[dict[str, Any]]) -> Described:
    columns = tuple((name, _kind(column["data_type"])) for name, column in model.columns.items())
    values = [tuple(_value(row[name], kind) for name, kind in columns) for row in rows]
    grain = next((grain for grain, word in ADJECTIVES.items() if model.name.startswith(f"{word}_")), None)
    return Described(
        Table(model.name, columns, tuple(sorted(values, key=_order))),
        model.description,
        {name: " ".join(column["description"].split()) for name, column in model.columns.items()},
        grain,
        model.derivations(),
    )


def _order(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple("" if value is None else str(value) for value in row)


def _kind(data_type: str) -> str:
    name = re.split(r"[( ]", data_type.lower())[0]
    aliases = {"timestamptz": "timestamp", "float64": "double", "bigint": "int64", "varchar": "string"}
    kind = aliases.get(name, name)
    if kind not in TYPES:
        raise KpiError(
            f"A published column has the type {data_type}, which exports do not have.",
            f"Use one of: {', '.join(TYPES)}.",
        )
    return kind


def _value(value: Any, kind: str) -> Any:
    if isinstance(value, Decimal) and kind in {"int64", "double"}:
        return int(value) if kind == "int64" else float(value)
    if isinstance(value, dt.datetime) and kind == "timestamp":
        return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return value


def _rows(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    return query(warehouse, f"select * from {_place(warehouse, name)}")  # noqa: S608 - names of ours


def _place(warehouse: Warehouse, name: str) -> str:
    return f"{warehouse.schema_prefix}{SCHEMA}.{name}"
