"""The release ledger as it stands in the warehouse, held against what exports show."""

from collections.abc import Mapping
from typing import Any

from pipelines.errors import KpiError
from pipelines.privacy.export import exports_in, read_export
from pipelines.privacy.ledger import LEDGER_COLUMNS, LEDGER_TABLE, PARAMETERS_TABLE, SCHEMA
from pipelines.sources.load import query
from pipelines.warehouse import Warehouse

_KEYS = {
    LEDGER_TABLE: ("family", "grain", "period_start_date", "cell"),
    PARAMETERS_TABLE: ("parameters_id",),
}


def check_exports(warehouse: Warehouse) -> None:
    """Raise KpiError if the newest export shows a figure that the warehouse's ledger has lost: it would be measured again.

    So it does where that cannot be read.
    """
    folder = warehouse.exports_folder
    newest = exports_in(folder)[-1:]
    if not newest:
        return
    shown = read_export(newest[0]).tables.get(LEDGER_TABLE)
    if shown is None or shown.column_names() != list(LEDGER_COLUMNS):
        raise KpiError(
            f"The ledger in {newest[0]} cannot be read, so that nobody knows what was released.",
            "Put the export back from your backup. Where there is none, delete it, and publish it again once the build is "
            "done: kpi publish",
        )
    kept = stored_rows(warehouse, LEDGER_TABLE)
    lost = sum(key_of(LEDGER_TABLE, row) not in kept for row in shown.dicts())
    if lost:
        raise KpiError(
            f"{newest[0]} shows {lost:,} figures that the ledger of this warehouse does not hold. Measured a second time, "
            "they would tell what protection kept back.",
            f"Bring the ledger back first: kpi privacy restore {folder}",
        )


def stored_rows(warehouse: Warehouse, name: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Read a table of the ledger by key; nothing where it is not there."""
    rows = query(warehouse, f"select * from {warehouse.schema_prefix}{SCHEMA}.{name}")  # noqa: S608 - names of ours
    return {key_of(name, row): row for row in rows}


def key_of(name: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give what identifies a row."""
    return tuple(row[column] for column in _KEYS[name])
