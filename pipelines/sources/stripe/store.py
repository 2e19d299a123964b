"""What is in the raw tables, and how batches get there: many of them in one load, each object once."""

import datetime as dt
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from dlt.extract import DltResource

from pipelines.sources.load import Progress, finish_pending, query, run_pipeline
from pipelines.sources.stripe.batches import Batch, Stretch
from pipelines.sources.stripe.columns import Table
from pipelines.sources.stripe.shapes.reading import Row
from pipelines.sources.stripe.tables import (
    BY_NAME,
    QUARANTINE,
    RESOURCES,
    SUBSCRIPTION_VERSIONS,
    TABLES,
    WINDOWS,
)
from pipelines.warehouse import Warehouse

OBJECTS_A_LOAD = 50_000
SECONDS_A_LOAD = 60.0
SHOW_EVERY = 2000
IDS_A_QUERY = 500
# What people are told of; the rest belongs to these or to the sync itself.
_COUNTED_NOT = {"resources", "windows", "quarantine", "events", "differences"}


@dataclass
class Tally:
    """What one run read, for its report."""

    progress: Progress
    rows: dict[str, int] = field(default_factory=dict)
    quarantined: dict[tuple[str, str, str], int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def count(self, batch: Batch) -> None:
        """Count rows that will be stored, and what is wrong with quarantined ones."""
        for name, rows in batch.rows.items():
            if name == QUARANTINE.name:
                for row in rows:
                    fault = (row["object"], row["reason"], row["field"])
                    self.quarantined[fault] = self.quarantined.get(fault, 0) + 1
            elif name not in _COUNTED_NOT and not name.startswith("subscription_version"):
                before = self.rows.get(name, 0)
                stored = sum(not row["is_deleted"] for row in rows)
                if before + stored:
                    self.rows[name] = before + stored
                if not BY_NAME[name].owner and before // SHOW_EVERY != (before + stored) // SHOW_EVERY:
                    self.progress(f"stripe: {before + stored:,} {name}")

    def faults(self) -> list[str]:
        """What was left out, and why."""
        return [
            f"stripe: {count:,} {kind} left out into quarantine ({reason} {name})."
            for (kind, reason, name), count in sorted(self.quarantined.items())
        ]


@dataclass
class Store:
    """Collects batches and loads them; a load holds each object once, so that the later copy wins in the next one."""

    warehouse: Warehouse
    pipeline: dlt.Pipeline
    tally: Tally
    clock: Callable[[], dt.datetime]
    states: dict[str, Row] = field(default_factory=dict)
    """The rows of raw table `resources` by resource."""

    def __post_init__(self) -> None:
        self._tables: dict[str, list[pa.Table]] = {}
        self._owners: set[tuple[str, str]] = set()
        self._stretches: list[Stretch] = []
        self._touched: set[str] = set()
        self._since = time.monotonic()

    def finish(self) -> None:
        """Load what a killed run left behind, then read how far the syncs have come."""
        finish_pending(self.warehouse, self.pipeline)
        self.states = {}
        for row in self.read(RESOURCES):
            self.state(row["resource"]).update(row)

    def state(self, resource: str) -> Row:
        """How far the syncs of a resource have come."""
        empty = dict.fromkeys(RESOURCES.schema.names) | {"resource": resource}
        return self.states.setdefault(resource, empty)

    def mark(self, resource: str, **facts: Any) -> None:
        """Say how far the syncs of a resource have come, as of the load that follows."""
        self.state(resource).update(facts)
        self._touched.add(resource)

    def add(self, batch: Batch) -> None:
        """Take a batch in; loads what has been collected once that is enough."""
        self.make_room(batch.owners)
        self._owners |= batch.owners
        self.tally.count(batch)
        for name, table in batch.tables().items():
            self._tables.setdefault(name, []).append(table)
        if batch.stretch:
            self._stretches.append(batch.stretch)
        if len(self._owners) >= OBJECTS_A_LOAD or time.monotonic() - self._since >= SECONDS_A_LOAD:
            self.load()

    def make_room(self, owners: set[tuple[str, str]]) -> None:
        """Load what has been collected if it holds a copy of one of these."""
        if owners & self._owners:
            self.load()

    def holds(self, owner: tuple[str, str]) -> bool:
        """Whether a copy of an object is among what will be loaded next."""
        return owner in self._owners

    def load(self) -> None:
        """Load what has been collected, with how far that goes."""
        self._add_progress()
        tables = {name: pa.concat_tables(parts) for name, parts in self._tables.items()}
        made = self._made()
        # Where nothing was ever stored, nothing has to be taken away.
        tables = {name: rows for name, rows in tables.items() if name in made or _has_rows(rows)}
        self._tables, self._owners = {}, set()
        if tables:
            with self._held_open():
                run_pipeline(self.warehouse, self.pipeline, stripe_source(tables))
        self._since = time.monotonic()

    @contextmanager
    def _held_open(self) -> Iterator[None]:
        """Keep the DuckDB file open: dlt opens and closes it for each table, which takes longer than small loads."""
        if self.warehouse.target != "duckdb":
            yield
            return
        self.warehouse.check_writable()
        connection = duckdb.connect(str(self.warehouse.duckdb_path))
        try:
            yield
        finally:
            connection.close()

    def _made(self) -> set[str]:
        """The tables that something was ever loaded into."""
        if not self.pipeline.default_schema_name:
            return set()
        tables = self.pipeline.default_schema.data_tables(seen_data_only=True)
        return {str(table["name"]) for table in tables}

    def _add_progress(self) -> None:
        if self._stretches:
            self._put(WINDOWS, self._windows())
            self._stretches = []
        if self._touched:
            now = self.clock()
            rows = [self.state(name) for name in sorted(self._touched)]
            self._put(RESOURCES, [{**row, "checked_at": row.get("checked_at") or now} for row in rows])
            self._touched = set()

    def _windows(self) -> list[Row]:
        rows = []
        for one in joined(self._stretches):
            listing = self.state(one.resource)["listing_at"]
            name = f"{one.resource}/{one.part}/{one.starts}/{one.ends}/{listing or ''}"
            if listing is not None:
                rows.append(
                    {
                        "id": hashlib.sha256(name.encode()).hexdigest()[:32],
                        "resource": one.resource,
                        "part": one.part,
                        "listing_at": listing,
                        "starts_at": one.starts,
                        "ends_at": one.ends,
                        "requested_at": listing,
                    }
                )
        return rows

    def _put(self, table: Table, rows: Iterable[Row]) -> None:
        self._tables.setdefault(table.name, []).append(table.arrow(rows))

    # -- what is stored ------------------------------------------------------------------------

    def read(self, table: Table, where: str = "true", *parameters: Any) -> list[Row]:
        """Rows of completed loads."""
        return self._select(table, "*", where, *parameters)

    def _select(self, table: Table, what: str, where: str, *parameters: Any) -> list[Row]:
        loads = f"{self.warehouse.dataset('stripe')}._dlt_loads"
        return query(
            self.warehouse,
            f"select {what} from {self.name(table)} "  # noqa: S608
            f"where _dlt_load_id in (select load_id from {loads}) and {where}",
            *parameters,
        )

    def name(self, table: Table) -> str:
        """The qualified name of a raw table."""
        return f"{self.warehouse.dataset('stripe')}.{table.name}"

    def stretches(self, resource: str) -> list[Stretch]:
        """What the listing under way has read of a resource."""
        listing = self.state(resource)["listing_at"]
        return [
            Stretch(resource, row["part"], row["starts_at"], row["ends_at"])
            for row in self.read(WINDOWS, "resource = %s and listing_at = %s", resource, listing)
        ]

    def by_id(self, table: Table, column: str, ids: Iterable[str]) -> Iterator[Row]:
        """The stored rows whose `column` is one of `ids`."""
        wanted = sorted(set(ids))
        for start in range(0, len(wanted), IDS_A_QUERY):
            part = wanted[start : start + IDS_A_QUERY]
            yield from self.read(table, f"{column} in ({', '.join(['%s'] * len(part))})", *part)

    def last_versions(self) -> dict[str, str]:
        """The state_hash of the version last observed of each subscription."""
        rows = self._select(
            SUBSCRIPTION_VERSIONS,
            "subscription_id, max_by(state_hash, observed_at) as state_hash",
            "true group by subscription_id",
        )
        return {row["subscription_id"]: row["state_hash"] for row in rows}

    def ids_since(self, table: Table, since: int | None) -> set[str]:
        """The ids of the rows created since an instant, given in seconds."""
        instant = dt.datetime.fromtimestamp(since or 0, dt.UTC)
        return {row["id"] for row in self._select(table, "id", "created_at >= %s", instant)}

    def newest_created(self, table: Table) -> dt.datetime | None:
        """When the newest object was made."""
        rows = self._select(table, "max(created_at) as created_at", "true")
        return rows[0]["created_at"] if rows else None

    def not_seen_since(self, table: Table, instant: dt.datetime | None) -> list[str]:
        """The ids of rows that are not deleted and whose copies are older than an instant."""
        rows = self._select(table, "id", "not is_deleted and requested_at < %s", instant)
        return sorted(row["id"] for row in rows)


def _has_rows(rows: pa.Table) -> bool:
    """Whether any of these is to be stored, rather than only to take others away."""
    return "is_deleted" not in rows.column_names or not pc.all(rows["is_deleted"]).as_py()


def are_tables_made(warehouse: Warehouse, pipeline: dlt.Pipeline) -> bool:
    """Whether every raw table is there with all of its columns."""
    known: Mapping[str, Any] = pipeline.default_schema.tables if pipeline.default_schema_name else {}
    if any(set(table.schema.names) - set(known.get(table.name, {}).get("columns", {})) for table in TABLES):
        return False
    # A warehouse that was deleted leaves dlt's working folder behind.
    name = f"{warehouse.dataset('stripe')}.{RESOURCES.name}"
    return bool(query(warehouse, f"select count(*) as found from {name}"))  # noqa: S608


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """The same stretches, adjoining ones made one."""
    result: list[Stretch] = []
    for one in sorted(stretches, key=lambda stretch: (stretch.resource, stretch.part, stretch.starts)):
        last = result[-1] if result else None
        if last and (last.resource, last.part) == (one.resource, one.part) and last.ends >= one.starts:
            result[-1] = Stretch(one.resource, one.part, last.starts, max(last.ends, one.ends))
        else:
            result.append(one)
    return result


@dlt.source(name="stripe")
def stripe_source(tables: Mapping[str, pa.Table]) -> DltResource:
    """Rows of raw tables, by the table's name, merged into what is there."""
    return dlt.resource([_tagged(BY_NAME[name], rows) for name, rows in tables.items()], name="objects")


def empty_source() -> Any:
    """Every raw table with its columns and without rows."""
    return stripe_source({table.name: table.arrow([]) for table in TABLES})


def _tagged(table: Table, rows: pa.Table) -> Any:
    """Rows, marked with the table they belong to and how they are merged into it."""
    age = "checked_at" if table is RESOURCES else "requested_at"
    columns: dict[str, Any] = (
        {"is_deleted": {"hard_delete": True}} if table.owner else {age: {"dedup_sort": "desc"}}
    )
    hints = dlt.mark.make_hints(
        table_name=table.name,
        write_disposition={"disposition": "merge", "strategy": "delete-insert"},
        # With both keys the merge compares every row with every other one.
        primary_key=None if table.owner else list(table.key),
        merge_key=table.owner,
        columns=columns,
    )
    return dlt.mark.with_hints(rows, hints, create_table_variant=True)
