"""Bringing the release ledger back from exports into a warehouse that lost it."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import KpiError
from pipelines.privacy.export import Export, find_exports, read_export
from pipelines.privacy.ledger import LEDGER_TABLE, PARAMETERS_TABLE, SCHEMA, Ledger
from pipelines.privacy.stored_ledger import key_of, stored_rows
from pipelines.privacy.tables import printed
from pipelines.sources.load import Progress
from pipelines.warehouse import Warehouse

_ROWS_A_STATEMENT = 500


def restore(warehouse: Warehouse, folders: Sequence[Path], progress: Progress) -> dict[str, int]:
    """Write what exports hold of the ledger and its parameters into the warehouse; rows that are there stay.

    Gives the rows written, by table. Raises KpiError where exports or the warehouse contradict each other: then nothing is
    written.
    """
    exports = [read_export(folder) for folder in find_exports(list(folders))]
    exports.sort(key=lambda export: export.name)
    missing = {name: _missing(warehouse, name, exports) for name in (PARAMETERS_TABLE, LEDGER_TABLE)}
    warehouse.check_writable()
    with warehouse.writer() as execute:
        execute(f"create schema if not exists {warehouse.schema_prefix}{SCHEMA}")
        for name, rows in missing.items():
            progress(f"Writing {len(rows):,} rows of {name}")
            for statement in _statements(warehouse, name, exports, rows):
                execute(statement)
    return {name: len(rows) for name, rows in missing.items()}


def _missing(warehouse: Warehouse, name: str, exports: Sequence[Export]) -> list[dict[str, Any]]:
    stored = stored_rows(warehouse, name)
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for export in exports:
        table = export.tables.get(name)
        if table is None or export.findings:
            why = str(export.findings[0]) if export.findings else f"{export.folder} holds no {name}"
            raise KpiError(
                f"The export cannot be trusted: {why}.", "Take the folder as kpi publish wrote it."
            )
        for row in table.dicts():
            key = key_of(name, row)
            for known in (stored.get(key), found.get(key)):
                if known is not None and not _same(known, row):
                    place = " ".join(str(part) for part in key)
                    raise KpiError(
                        f"{export.folder} says something else about {place} than the warehouse or another export.",
                        "Nothing was restored. Name only the exports of this company, as kpi publish wrote them.",
                    )
            found[key] = row
    if name == LEDGER_TABLE:
        Ledger.of(found.values())
    return [row for key, row in found.items() if key not in stored]


def _same(known: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    left, right = dict(known), dict(row)
    for instant in ("released_at", "first_used_at"):
        left.pop(instant, None)
        right.pop(instant, None)
    return left == right


def _statements(
    warehouse: Warehouse, name: str, exports: Sequence[Export], rows: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    table = exports[-1].tables[name]
    place = f"{warehouse.schema_prefix}{SCHEMA}.{name}"
    types = {kind: _type(warehouse, kind) for _, kind in table.columns}
    columns = ", ".join(f"{column} {types[kind]}" for column, kind in table.columns)
    yield f"create table if not exists {place} ({columns})"
    for first in range(0, len(rows), _ROWS_A_STATEMENT):
        some = rows[first : first + _ROWS_A_STATEMENT]
        values = ", ".join(
            "(" + ", ".join(_literal(row[column], types[kind]) for column, kind in table.columns) + ")"
            for row in some
        )
        yield f"insert into {place} ({', '.join(table.column_names())}) values {values}"  # noqa: S608 - literals below


def _type(warehouse: Warehouse, kind: str) -> str:
    if warehouse.target == "bigquery":
        return kind
    return {"string": "varchar", "int64": "bigint", "timestamp": "timestamptz"}.get(kind, kind)


def _literal(value: object, kind: str) -> str:
    """Write one value as SQL. The ledger holds names of ours, dates and numbers: anything else is refused."""
    if value is None:
        return f"cast(null as {kind})"
    text = printed(value)
    if isinstance(value, int):
        return text
    if isinstance(value, str) and not all(sign.isalnum() or sign in "_-." for sign in text):
        raise KpiError(
            "The exported ledger holds a name that it cannot hold.",
            "Take the folder as kpi publish wrote it.",
        )
    if isinstance(value, dt.datetime):
        text = text.replace("T", " ").replace("Z", "+00:00")
    return f"cast('{text}' as {kind})"
