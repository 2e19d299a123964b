"""What is fetched from Stripe, and how its objects become rows: one generator of batches for each resource."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pipelines.errors import KpiError
from pipelines.sources.stripe import shapes
from pipelines.sources.stripe.client import Missing, StripeApi
from pipelines.sources.stripe.tables import (
    CUSTOMERS,
    IDENTIFIER,
    INVOICE_LINES,
    INVOICES,
    QUARANTINE,
    SUBSCRIPTION_ITEMS,
    SUBSCRIPTIONS,
    Reject,
    Table,
)

WITHOUT_ID = "none"


@dataclass
class Mode:
    """Live or test mode, fixed by what is stored already or else by the first object; the two never mix."""

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


@dataclass
class Batch:
    """Rows of a few tables that came with one page."""

    sent_at: dt.datetime
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: Table, kind: str, row: Mapping[str, Any]) -> bool:
        """Take a row in, or put the reason why not into quarantine; tells which."""
        checked = table.checked({**row, "fetched_at": self.sent_at})
        if isinstance(checked, Reject):
            self.reject(kind, row.get("id"), checked)
            return False
        self.rows.setdefault(table.name, []).append(checked)
        return True

    def add_whole(self, table: Table, kind: str, owner: Mapping[str, Any], rows: list[shapes.Row]) -> None:
        """Take in all rows that an owner has now, so that those it has no more go away."""
        kept = [self.add(table, kind, row) for row in rows]
        if not any(kept):
            # Nothing replaces the owner's rows: a row that only says so takes them away and is not stored.
            self.rows.setdefault(table.name, []).append(
                dict.fromkeys(table.schema.names)
                | {"id": f"{owner['id']}/none", table.owner: owner["id"]}
                | {"is_deleted": True, "fetched_at": self.sent_at}
            )

    def reject(self, kind: str, object_id: object, reject: Reject) -> None:
        """Put an object into quarantine: what it is and which field, never a value."""
        try:
            name = IDENTIFIER.read(object_id)
        except ValueError:
            name = WITHOUT_ID
        self.rows.setdefault(QUARANTINE.name, []).append(
            {
                "object": kind,
                "id": name,
                "field": reject.field,
                "reason": reject.reason,
                "fetched_at": self.sent_at,
            }
        )

    def usable(self, kind: str, raw: object) -> Mapping[str, Any] | None:
        """An object with an id that can be asked for; None (and quarantine) for anything else."""
        if not isinstance(raw, Mapping):
            self.reject(kind, None, Reject("unexpected", "object"))
            return None
        try:
            IDENTIFIER.read(raw.get("id"))
        except ValueError:
            self.reject(kind, None, Reject("missing" if raw.get("id") is None else "unexpected", "id"))
            return None
        return raw


def _owned(
    batch: Batch, kind: str, rows: list[Any], row_of: Callable[[Mapping[str, Any]], shapes.Row]
) -> list[shapes.Row]:
    usable = [batch.usable(kind, raw) for raw in rows]
    return [row_of(raw) for raw in usable if raw is not None]


def invoices(api: StripeApi, mode: Mode) -> Iterator[Batch]:
    """Invoices with all their lines."""
    for page in api.pages("/v1/invoices"):
        batch = Batch(page.sent_at)
        for entry in page.rows:
            raw = batch.usable("invoice", entry)
            if raw is None:
                continue
            mode.check(raw)
            invoice_id = raw["id"]
            try:
                lines = api.rest(raw.get("lines"), f"/v1/invoices/{invoice_id}/lines")
            except Missing:
                continue  # a draft that was deleted since its page was read
            if batch.add(INVOICES, "invoice", shapes.invoice(raw)):
                rows = _owned(batch, "line_item", lines, partial(shapes.invoice_line, invoice_id=invoice_id))
                batch.add_whole(INVOICE_LINES, "line_item", raw, rows)
        yield batch


def subscriptions(api: StripeApi, mode: Mode) -> Iterator[Batch]:
    """Subscriptions in every state, cancelled ones too, with all their items."""
    for page in api.pages("/v1/subscriptions", status="all"):
        batch = Batch(page.sent_at)
        for entry in page.rows:
            raw = batch.usable("subscription", entry)
            if raw is None:
                continue
            mode.check(raw)
            try:
                items = api.rest(raw.get("items"), "/v1/subscription_items", subscription=raw["id"])
            except Missing:
                continue
            rows = _owned(batch, "subscription_item", items, partial(shapes.subscription_item, owner=raw))
            if batch.add(SUBSCRIPTIONS, "subscription", shapes.subscription(raw, rows)):
                batch.add_whole(SUBSCRIPTION_ITEMS, "subscription_item", raw, rows)
        yield batch


def customers(api: StripeApi, mode: Mode) -> Iterator[Batch]:
    """Customers, without anything personal."""
    for page in api.pages("/v1/customers"):
        batch = Batch(page.sent_at)
        for entry in page.rows:
            raw = batch.usable("customer", entry)
            if raw is not None:
                mode.check(raw)
                batch.add(CUSTOMERS, "customer", shapes.customer(raw))
        yield batch


Reader = Callable[[StripeApi, Mode], Iterator[Batch]]

# By the name of the resource, which is also that of its raw table.
READERS: dict[str, Reader] = {"invoices": invoices, "subscriptions": subscriptions, "customers": customers}
