"""What a sweep finds: where a stored row is not what Stripe says."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.sources.stripe.batches import Batch
from pipelines.sources.stripe.columns import INSTANT, Table, as_instant
from pipelines.sources.stripe.resources import RESOURCES
from pipelines.sources.stripe.shapes.reading import Row
from pipelines.sources.stripe.store import Store
from pipelines.sources.stripe.tables import BY_NAME, DIFFERENCES

_LEFT_OUT = {"requested_at"}
WHOLE = "row"
"""Stands for a field where a whole row is new or gone."""


@dataclass(frozen=True)
class Difference:
    """One field of one object: what we had, and what it is."""

    table: str
    object_id: str
    field: str
    had: str | None
    found: str | None

    def __str__(self) -> str:
        if self.field == WHOLE:
            return f"{self.table} {self.object_id}: {self.had or self.found}"
        return f"{self.table} {self.object_id}: {self.field} was {_shown(self.had)}, is {_shown(self.found)}"


def differences(store: Store, batch: Batch) -> list[Difference]:
    """Compare the rows of a batch with the stored ones."""
    found: list[Difference] = []
    for name, rows in batch.rows.items():
        table = BY_NAME[name]
        if name in RESOURCES or (table.owner and not name.startswith("subscription_version")):
            column = table.owner or "id"
            stored = store.by_id(table, column, {row[column] for row in rows})
            found += _compared(
                table, stored, [row for row in rows if not (table.owner and row["is_deleted"])]
            )
    return found


def difference_batch(found: Iterable[Difference], sent_at: dt.datetime) -> Batch:
    """The rows of differences."""
    batch = Batch(sent_at, livemode=False)
    for one in found:
        name = f"{one.table}/{one.object_id}/{one.field}/{sent_at.timestamp():.6f}"
        batch.add(
            DIFFERENCES,
            "difference",
            {
                "id": hashlib.sha256(name.encode()).hexdigest()[:32],
                "object": one.table,
                "object_id": one.object_id,
                "field": one.field,
                "had": one.had,
                "found": one.found,
            },
        )
    return batch


def _compared(table: Table, stored: Iterable[Row], rows: list[Row]) -> Iterator[Difference]:
    had = {row["id"]: row for row in stored}
    for row in rows:
        before = had.pop(row["id"], None)
        if before is None:
            yield Difference(table.name, row["id"], WHOLE, None, "was not known")
            continue
        for column in table.columns:
            old, new = before.get(column.name), row.get(column.name)
            if column.kind is INSTANT:
                new = as_instant(new)
            if column.name not in _LEFT_OUT and old != new:
                yield Difference(table.name, row["id"], column.name, _text(old), _text(new))
    if table.owner:
        for gone in had:
            yield Difference(table.name, gone, WHOLE, "is not there any more", None)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def _shown(value: str | None) -> str:
    return "empty" if value is None else value
