"""Rows on their way from one answer of Stripe's to the raw tables."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import pyarrow as pa

from pipelines.errors import KpiError
from pipelines.sources.stripe.columns import CHOSEN_IDENTIFIER, IDENTIFIER, Reject, Table
from pipelines.sources.stripe.shapes.reading import Row
from pipelines.sources.stripe.tables import BY_NAME, QUARANTINE

WITHOUT_ID = "none"


@dataclass
class Mode:
    """Live or test mode, fixed by the key or by what is stored already; the two never mix."""

    livemode: bool | None = None

    def check(self, raw: Mapping[str, Any]) -> None:
        """Raise KpiError if an object is of the other mode."""
        livemode = raw.get("livemode")
        if not isinstance(livemode, bool):
            return
        if self.livemode is None:
            self.livemode = livemode
        if livemode != self.livemode:
            stored, asked = ("live", "test") if self.livemode else ("test", "live")
            raise KpiError(
                f"The Stripe key reads {asked} mode, but the warehouse holds {stored} mode: the two never mix.",
                f"Set SOURCES__STRIPE__API_KEY to a key of {stored} mode, or load into another warehouse "
                "(KPI_DUCKDB_PATH or KPI_SCHEMA_PREFIX).",
            )


@dataclass(frozen=True)
class Stretch:
    """A stretch of `created` of one list that has been read to its end: from `starts` on, before `ends`, in seconds."""

    resource: str
    part: int
    starts: int
    ends: int


@dataclass
class Batch:
    """Rows of a few tables that came with one answer."""

    sent_at: dt.datetime
    livemode: bool
    rows: dict[str, list[Row]] = field(default_factory=dict)
    owners: set[tuple[str, str]] = field(default_factory=set)
    """Resource and id of each object that it holds."""
    stretch: Stretch | None = None

    def add(self, table: Table, kind: str, row: Row, *, is_deleted: bool = False) -> bool:
        """Take a row in, or put the reason why not into quarantine; tells which."""
        return bool(self.add_all(table, kind, [row], is_deleted=is_deleted))

    def add_all(self, table: Table, kind: str, rows: Iterable[Row], *, is_deleted: bool = False) -> set[Any]:
        """Take in those of these rows that can be stored, the others into quarantine; gives the ids of those taken in.

        What all rows have in common is put into the rows themselves.
        """
        given = list(rows)
        for row in given:
            # Not every object says of which mode it is.
            if row.get("livemode") is None:
                row["livemode"] = self.livemode
            row["is_deleted"] = is_deleted
            row["requested_at"] = self.sent_at
        faults = table.faults(given)
        for place, fault in faults.items():
            self.reject(kind, given[place].get("id"), fault)
        taken = [row for place, row in enumerate(given) if place not in faults] if faults else given
        if taken:
            self.rows.setdefault(table.name, []).extend(taken)
        return {row["id"] for row in taken}

    def add_whole(self, table: Table, kind: str, parts: Mapping[str, list[Row]]) -> None:
        """Take in all rows that owners have now, by the owner's id, so that those they have no more go away."""
        assert table.owner is not None
        mine = self.rows.setdefault(table.name, [])
        before = len(mine)
        self.add_all(table, kind, chain.from_iterable(parts.values()))
        having = {row[table.owner] for row in mine[before:]}
        # Where nothing replaces an owner's rows, one that only says so takes them away and is not stored.
        mine += [
            dict.fromkeys(table.schema.names)
            | {"id": f"{owner}/none", table.owner: owner, "livemode": self.livemode}
            | {"is_deleted": True, "requested_at": self.sent_at}
            for owner in parts
            if owner not in having
        ]

    def reject(self, kind: str, object_id: object, reject: Reject) -> None:
        """Put an object into quarantine: what it is and which field, never a value."""
        name = object_id if IDENTIFIER.accepts([object_id]) else WITHOUT_ID
        self.rows.setdefault(QUARANTINE.name, []).append(
            {
                "object": kind,
                "id": name,
                "field": reject.field,
                "reason": reject.reason,
                "requested_at": self.sent_at,
            }
        )

    def usable(self, kind: str, raw: object) -> dict[str, Any] | None:
        """An object with an id that can be asked for; None (and quarantine) for anything else."""
        if not isinstance(raw, dict):
            self.reject(kind, None, Reject("unexpected", "object"))
            return None
        if not CHOSEN_IDENTIFIER.accepts([raw.get("id")]):
            self.reject(kind, None, Reject("missing" if raw.get("id") is None else "unexpected", "id"))
            return None
        return raw

    def tables(self) -> dict[str, pa.Table]:
        """Its rows as columns."""
        return {name: BY_NAME[name].arrow(rows) for name, rows in self.rows.items() if rows}
