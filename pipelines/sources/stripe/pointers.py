"""Stripe's events as pointers: which objects changed. What they are now is asked of Stripe itself.

Events are kept for 30 days, come at least once and in any order, and show objects in the shape of the version that
was the account's then; so nothing of an object is taken from them but its id.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.sources.stripe.batches import Batch, Mode
from pipelines.sources.stripe.client import CursorGone, StripeApi, ids_of
from pipelines.sources.stripe.resources import RESOURCES
from pipelines.sources.stripe.shapes.reading import at, id_of, is_whole
from pipelines.sources.stripe.tables import EVENTS
from pipelines.sources.stripe.versions import Cause

PATH = "/v1/events"
MOST_TYPES = 20

_TYPES = {
    "customer": "created deleted updated discount.created discount.deleted discount.updated "
    "subscription.created subscription.deleted subscription.paused subscription.pending_update_applied "
    "subscription.pending_update_expired subscription.resumed subscription.updated",
    "invoice": "created deleted finalization_failed finalized marked_uncollectible overdue overpaid paid "
    "payment_action_required payment_failed payment_succeeded sent updated voided",
    "invoice_payment": "paid",
    "product": "created deleted updated",
    "price": "created deleted updated",
    "coupon": "created deleted updated",
    "credit_note": "created updated voided",
    "refund": "created failed updated",
    "charge": "refund.updated",
}
TYPES = tuple(f"{name}.{what}" for name, whats in _TYPES.items() for what in whats.split())

# Fields of a subscription, as either shape names them, that its recurring revenue depends on.
OF_REVENUE = frozenset(
    {
        *("status", "items", "plan", "quantity", "discount", "discounts", "currency", "customer"),
        *("start_date", "trial_start", "trial_end", "cancel_at", "cancel_at_period_end", "canceled_at"),
        *("ended_at", "pause_collection"),
    }
)
_SHOWN = OF_REVENUE | {"amount_paid", "amount_remaining", "amount_due", "total", "paid", "lines"}
_BY_KIND = {resource.kind: name for name, resource in RESOURCES.items()}


@dataclass(frozen=True)
class Pointer:
    """An object that an event is about."""

    event_id: str
    event_type: str
    resource: str
    object_id: str
    created: int
    changed: frozenset[str] | None
    """Fields that changed, of those that matter; None where the event does not tell."""

    @property
    def is_of_revenue(self) -> bool:
        """Whether the change may be one of recurring revenue."""
        is_update = self.event_type.endswith("subscription.updated")
        return not is_update or self.changed is None or bool(self.changed & OF_REVENUE)


def newest(api: StripeApi) -> int | None:
    """When the newest event was made, in seconds; None where there is none. Raises Forbidden."""
    rows = api.page(PATH).rows
    made = [row["created"] for row in rows if is_whole(at(row, "created"))]
    return max(made, default=None)


def events(api: StripeApi, mode: Mode, since: int | None) -> Iterator[dict[str, Any]]:
    """Yield the events about what is read here, made from `since` on. Raises Forbidden."""
    for start in range(0, len(TYPES), MOST_TYPES):
        query: dict[str, Any] = {"types": list(TYPES[start : start + MOST_TYPES])}
        if since is not None:
            query["created"] = {"gte": since}
        after: dict[str, str] = {}
        while True:
            try:
                page = api.page(PATH, **query, **after)
            except CursorGone:
                # It has grown too old meanwhile: whatever is left is read again.
                after = {}
                continue
            for row in page.rows:
                if isinstance(row, dict) and isinstance(row.get("id"), str) and is_whole(row.get("created")):
                    mode.check(row)
                    yield row
            if not page.has_more:
                break
            after = {"starting_after": ids_of(page.rows)[-1]}


def pointer(event: Mapping[str, Any]) -> Pointer | None:
    """What an event points to; None where that is nothing that is read here."""
    found = at(event, "data", "object")
    kind = str(at(found, "object"))
    owner = id_of(at(found, "subscription")), id_of(at(found, "customer"))
    resource, object_id = _BY_KIND.get(kind), at(found, "id")
    if kind == "invoice_payment" and id_of(at(found, "invoice")):
        # All payments of an invoice are asked for together with it.
        resource, object_id = "invoices", id_of(at(found, "invoice"))
    elif kind == "discount" or object_id is None:
        # Discounts, and invoices that are only announced, cannot be asked for: their owner can.
        resource, object_id = ("subscriptions", owner[0]) if owner[0] else ("customers", owner[1])
    if resource is None or not isinstance(object_id, str):
        return None
    before = at(event, "data", "previous_attributes")
    changed = frozenset(before) & _SHOWN if isinstance(before, Mapping) else None
    return Pointer(event["id"], str(event.get("type")), resource, object_id, event["created"], changed)


def event_batch(
    found: Iterable[tuple[Mapping[str, Any], Pointer]], sent_at: dt.datetime, mode: Mode
) -> Batch:
    """The rows of events that have been followed."""
    batch = Batch(sent_at, bool(mode.livemode))
    for event, points in found:
        row = {
            "id": event["id"],
            "type": event.get("type"),
            "object_type": points.resource,
            "object_id": points.object_id,
            "changed_fields": ",".join(sorted(points.changed or ())),
            "created_at": event["created"],
            "livemode": event.get("livemode"),
        }
        batch.add(EVENTS, "event", row)
    return batch


def causes(found: Iterable[Pointer]) -> dict[str, Cause]:
    """The newest event that may have changed the recurring revenue of each subscription."""
    result: dict[str, Cause] = {}
    for points in sorted(found, key=lambda each: each.created):
        if points.resource == "subscriptions" and points.is_of_revenue:
            made = dt.datetime.fromtimestamp(points.created, dt.UTC)
            result[points.object_id] = Cause(points.event_id, made)
    return result
