"""Stripe into `raw_stripe`: invoices with all their lines, subscriptions with their items, customers.

Each run reads everything the key may read, page by page, and merges it on `id`.
Settings: SOURCES__STRIPE__API_KEY (secret), SOURCES__STRIPE__BASE_URL and SOURCES__STRIPE__API_VERSION
(both optional).
"""

import datetime as dt
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dlt
from dlt.extract import DltResource

from pipelines.errors import SettingError
from pipelines.sources.load import LoadReport, Progress, finish_pending, query, run_pipeline
from pipelines.sources.stripe.client import API_BASE, API_VERSION, Forbidden, StripeApi
from pipelines.sources.stripe.resources import READERS, Mode, Reader
from pipelines.sources.stripe.tables import QUARANTINE, RESOURCES, TABLES, Table
from pipelines.warehouse import Warehouse, secret, setting

SHOW_EVERY = 2000
_TABLES = {table.name: table for table in TABLES}


@dataclass
class Tally:
    """What one run read, for its report."""

    progress: Progress
    rows: dict[str, int] = field(default_factory=dict)
    quarantined: dict[tuple[str, str, str], int] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def count(self, table: str, rows: Iterable[dict[str, Any]]) -> None:
        """Count rows that will be stored, and what is wrong with quarantined ones."""
        stored = [row for row in rows if not row.get("is_deleted")]
        before = self.rows.get(table, 0)
        self.rows[table] = before + len(stored)
        if table in READERS and before // SHOW_EVERY != self.rows[table] // SHOW_EVERY:
            self.progress(f"stripe: {self.rows[table]:,} {table}")
        if table == QUARANTINE.name:
            for row in stored:
                fault = (row["object"], row["reason"], row["field"])
                self.quarantined[fault] = self.quarantined.get(fault, 0) + 1

    def notes(self) -> list[str]:
        """What people should see though nothing failed."""
        unavailable = [
            f"stripe: the key may not read {resource}; the rest was loaded."
            for resource, state in self.states.items()
            if state == "unavailable"
        ]
        return unavailable + [
            f"stripe: {count:,} {kind} left out into quarantine ({reason} {name})."
            for (kind, reason, name), count in sorted(self.quarantined.items())
        ]


@dlt.source(name="stripe")
def stripe_source(api: StripeApi, mode: Mode, tally: Tally) -> list[DltResource]:
    """One dlt resource for each of Stripe's; each yields rows of the raw tables that belong to it.

    Tables of which nothing comes are made all the same.
    """
    resources = [
        dlt.resource(_read, name=name, selected=True)(name, reader, api, mode, tally)
        for name, reader in READERS.items()
    ]
    return [_empty_tables(), *resources]


def _read(name: str, reader: Reader, api: StripeApi, mode: Mode, tally: Tally) -> Iterator[Any]:
    state = "available"
    try:
        for batch in reader(api, mode):
            for table, rows in batch.rows.items():
                tally.count(table, rows)
                yield _tagged(_TABLES[table], rows)
    except Forbidden:
        state = "unavailable"
    tally.states[name] = state
    yield _tagged(RESOURCES, [{"resource": name, "state": state, "checked_at": api.clock()}])


def _tagged(table: Table, rows: list[dict[str, Any]]) -> Any:
    """Rows as Arrow, marked with the table they belong to and how they are merged into it."""
    age = "checked_at" if table is RESOURCES else "fetched_at"
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
    return dlt.mark.with_hints(table.arrow(rows), hints, create_table_variant=True)


@dlt.source(name="stripe")
def empty_source() -> DltResource:
    """Every raw table with its columns and without rows."""
    return _empty_tables()


def _empty_tables() -> DltResource:
    return dlt.resource([_tagged(table, []) for table in TABLES], name="tables")


def is_configured() -> bool:
    """Whether anything is set for Stripe."""
    return secret("sources.stripe.api_key") is not None or setting("sources.stripe.base_url") is not None


def connect(
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
) -> StripeApi:
    """Make the client from the settings; SettingError without a key or with one that cannot be sent."""
    key = secret("sources.stripe.api_key")
    if key is None:
        raise SettingError(
            "SOURCES__STRIPE__API_KEY is not set.",
            "Set it, or api_key under [sources.stripe] in .dlt/secrets.toml; a restricted key that may read "
            "invoices is enough.",
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise SettingError(
            "SOURCES__STRIPE__API_KEY holds characters that no key has.",
            "Copy it again, without quotes and blanks.",
        )
    base_url = setting("sources.stripe.base_url", API_BASE) or API_BASE
    if not re.match(r"https?://[^/\s]+", base_url):
        raise SettingError(
            "SOURCES__STRIPE__BASE_URL is no address.", f"Leave it out for Stripe itself ({API_BASE})."
        )
    return StripeApi(
        key,
        base_url=base_url,
        api_version=setting("sources.stripe.api_version", API_VERSION) or API_VERSION,
        sleep=sleep,
        clock=clock,
    )


def load(warehouse: Warehouse, progress: Progress, api: StripeApi | None = None) -> LoadReport:
    """Read all that the key may read and merge it into the raw tables.

    Raises KpiError for a wrong key, an unreachable Stripe, or a key of the other mode.
    """
    api = api or connect()
    pipeline = warehouse.pipeline("stripe")
    # What a killed run left behind is stored first: it fixes the mode too.
    finish_pending(warehouse, pipeline)
    tally = Tally(progress)
    run_pipeline(warehouse, pipeline, stripe_source(api, Mode(_stored_mode(warehouse)), tally))
    report = LoadReport("stripe", rows=tally.rows, notes=tally.notes())
    if "available" not in tally.states.values():
        report.failures.append(
            "stripe: the key may read none of "
            + ", ".join(READERS)
            + ". Give it leave to read invoices at least."
        )
    return report


def ensure_tables(warehouse: Warehouse) -> None:
    """Make every raw table that is not there yet, without a key and without asking Stripe."""
    pipeline = warehouse.pipeline("stripe")
    known: Mapping[str, Any] = pipeline.default_schema.tables if pipeline.default_schema_name else {}
    is_known = all(
        set(table.schema.names) <= set(known.get(table.name, {}).get("columns", {})) for table in TABLES
    )
    # A warehouse that was deleted leaves dlt's working folder behind.
    if not (
        is_known and query(warehouse, f"select count(*) as found from {_raw(warehouse, RESOURCES.name)}")  # noqa: S608
    ):
        run_pipeline(warehouse, pipeline, empty_source())


def _stored_mode(warehouse: Warehouse) -> bool | None:
    for name in READERS:
        for row in query(warehouse, f"select livemode from {_raw(warehouse, name)} limit 1"):  # noqa: S608
            return bool(row["livemode"])
    return None


def _raw(warehouse: Warehouse, table: str) -> str:
    return f"{warehouse.dataset('stripe')}.{table}"
