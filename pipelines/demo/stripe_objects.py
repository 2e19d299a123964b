"""The objects of a made-up Stripe account in memory, and the events that tell of every change to them."""

import bisect
import datetime as dt
import json
from threading import RLock
from typing import Any

Instant = dt.datetime | int
StripeObject = dict[str, Any]

PREFIXES = {
    "customers": "cus",
    "products": "prod",
    "prices": "price",
    "coupons": "coupon",
    "subscriptions": "sub",
    "invoices": "in",
    "invoice_payments": "inpay",
    "credit_notes": "cn",
    "refunds": "re",
    "balance_transactions": "txn",
    "events": "evt",
}
KINDS = {
    "customers": "customer",
    "products": "product",
    "prices": "price",
    "coupons": "coupon",
    "subscriptions": "subscription",
    "invoices": "invoice",
    "invoice_payments": "invoice_payment",
    "credit_notes": "credit_note",
    "refunds": "refund",
    "balance_transactions": "balance_transaction",
    "events": "event",
}
# What the API shows without saying of which mode it is.
WITHOUT_MODE = {"refunds", "balance_transactions"}
# What the API still answers with `deleted: true`; anything else that was deleted is not found any more.
LEAVES_A_STUB = {"customers", "products"}
EVENTS_ARE_KEPT = 30 * 86400
_EVENT_NAMES = {"subscriptions": "customer.subscription"}
# Objects of these make no event when they are made or changed.
_SILENT = {"balance_transactions", "events"}


def seconds(instant: Instant | None) -> int | None:
    """An instant as the API gives it: whole seconds since 1970."""
    return int(instant.timestamp()) if isinstance(instant, dt.datetime) else instant


def _frozen(row: StripeObject) -> StripeObject:
    """A copy that later changes do not reach."""
    copied: StripeObject = json.loads(json.dumps(row))
    return copied


class StripeObjects:
    """Every object of one account in one mode (test or live), by resource.

    An event is made at the account's own time; with `tells_history` at the instant that the act itself names.
    """

    def __init__(
        self, *, livemode: bool = False, now: Instant | None = None, tells_history: bool = False
    ) -> None:
        self.livemode = livemode
        self.tells_history = tells_history
        self.lock = RLock()
        self._now = seconds(now)
        self._objects: dict[str, dict[str, StripeObject]] = {resource: {} for resource in PREFIXES}
        self._deleted: dict[str, set[str]] = {resource: set() for resource in PREFIXES}
        # (created, serial number, id), ascending: lists are given newest first.
        self._order: dict[str, list[tuple[int, int, str]]] = {resource: [] for resource in PREFIXES}
        self._newest_first: dict[str, list[StripeObject]] = {}
        self._serial = 0
        self._event_serial = 0

    @property
    def now(self) -> int:
        """The account's own clock: stands still where it was set, else it is the machine's."""
        return self._now if self._now is not None else int(dt.datetime.now(dt.UTC).timestamp())

    def advance(self, to: Instant) -> None:
        """Set the account's clock."""
        self._now = seconds(to)

    # -- reading -----------------------------------------------------------------------------

    def get(self, resource: str, object_id: str) -> StripeObject | None:
        """One object, or what is left of a deleted one; None where there is neither."""
        found = self._objects[resource].get(object_id)
        if found is None and resource in LEAVES_A_STUB and object_id in self._deleted[resource]:
            return {"id": object_id, "object": KINDS[resource], "deleted": True}
        return found

    def listed(self, resource: str) -> list[StripeObject]:
        """Every object that still is there, newest first; events of the last 30 days only."""
        if resource not in self._newest_first:
            objects = self._objects[resource]
            self._newest_first[resource] = [
                objects[object_id] for _, _, object_id in reversed(self._order[resource])
            ]
        rows = self._newest_first[resource]
        if resource == "events":
            rows = [row for row in rows if self.now - EVENTS_ARE_KEPT <= row["created"] <= self.now]
        return rows

    # -- acts --------------------------------------------------------------------------------

    def change(
        self,
        resource: str,
        object_id: str,
        *,
        at: Instant | None = None,
        silently: bool = False,
        event: str = "updated",
        **fields: Any,
    ) -> None:
        """Set fields of one object, as the newest shape names them; `silently` makes no event of it."""
        with self.lock:
            row = self._objects[resource][object_id]
            before = {name: row.get(name) for name in fields if row.get(name) != fields[name]}
            row.update(fields)
            if not silently and (before or event != "updated"):
                self._tell(resource, event, row, at, before)

    def delete(self, resource: str, object_id: str, *, silently: bool = False) -> None:
        """Delete an object: it is in no list any more."""
        with self.lock:
            gone = self._objects[resource].pop(object_id)
            self._order[resource] = [entry for entry in self._order[resource] if entry[2] != gone["id"]]
            self._newest_first.pop(resource, None)
            self._deleted[resource].add(object_id)
            if not silently:
                self._tell(resource, "deleted", gone, None)

    # -- making ------------------------------------------------------------------------------

    def _next_id(self, resource: str) -> str:
        with self.lock:
            self._serial += 1
            return f"{PREFIXES[resource]}_{self._serial:012d}"

    def _add(
        self,
        resource: str,
        created: Instant | None,
        base: StripeObject,
        fields: dict[str, Any] | None = None,
        *,
        silently: bool = False,
    ) -> str:
        with self.lock:
            row = {
                "id": base.get("id") or (fields or {}).get("id") or self._next_id(resource),
                "object": KINDS[resource],
                "created": self.now if created is None else seconds(created),
                **({} if resource in WITHOUT_MODE else {"livemode": self.livemode}),
                **base,
                **(fields or {}),
            }
            self._objects[resource][row["id"]] = row
            self._newest_first.pop(resource, None)
            place = len(self._order[resource])
            bisect.insort(self._order[resource], (row["created"], place, row["id"]))
            if not silently:
                self._tell(resource, "created", row, created)
            return str(row["id"])

    def _tell(
        self,
        resource: str,
        what: str,
        row: StripeObject,
        at: Instant | None,
        before: dict[str, Any] | None = None,
    ) -> None:
        """Make the event of something that happened to an object: what it was like then, in the newest shape."""
        if resource in _SILENT:
            return
        kind = what if "." in what else f"{_EVENT_NAMES.get(resource, KINDS[resource])}.{what}"
        data: StripeObject = {"object": _frozen(row)}
        if before:
            data["previous_attributes"] = _frozen(before)
        self._add_event(kind, data, at)

    def _add_event(self, kind: str, data: StripeObject, at: Instant | None = None) -> None:
        self._event_serial += 1
        base: StripeObject = {
            "id": f"evt_{self._event_serial:012d}",
            "api_version": None,
            "data": data,
            "pending_webhooks": 0,
            "request": {"id": None, "idempotency_key": None},
            "type": kind,
        }
        self._add("events", at if self.tells_history and at is not None else None, base)
