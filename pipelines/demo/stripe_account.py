"""A made-up Stripe account in memory: its objects, and what can happen to them.

Objects are kept in the newest shape (API version of `stripe_versions.NEWEST`) with whole lists of lines and
items; `stripe_versions` renders them as a caller's version shows them. Instants are given as datetimes
with a zone or as seconds since 1970, amounts in the currency's minor unit.
"""

import bisect
import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

Instant = dt.datetime | int
StripeObject = dict[str, Any]

PREFIXES = {
    "customers": "cus",
    "products": "prod",
    "prices": "price",
    "subscriptions": "sub",
    "invoices": "in",
}
KINDS = {
    "customers": "customer",
    "products": "product",
    "prices": "price",
    "subscriptions": "subscription",
    "invoices": "invoice",
}
# What the API still answers with `deleted: true`; anything else that was deleted is not found any more.
LEAVES_A_STUB = {"customers", "products"}


def seconds(instant: Instant | None) -> int | None:
    """An instant as the API gives it: whole seconds since 1970."""
    return int(instant.timestamp()) if isinstance(instant, dt.datetime) else instant


@dataclass(frozen=True)
class Line:
    """One line of an invoice. `amount` is before discounts and without exclusive tax."""

    amount: int
    price: str | None = None
    quantity: int = 1
    subscription: str | None = None
    subscription_item: str | None = None
    invoice_item: bool = False
    proration: bool = False
    period: tuple[Instant, Instant] | None = None
    discount_amount: int = 0
    tax_amount: int = 0
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Item:
    """One item of a subscription: a price and how many of it (None for metered prices)."""

    price: str
    quantity: int | None = 1


class StripeAccount:
    """Every object of one account in one mode (test or live)."""

    def __init__(self, *, livemode: bool = False, now: Instant | None = None) -> None:
        self.livemode = livemode
        self.lock = RLock()
        self._now = seconds(now)
        self._objects: dict[str, dict[str, StripeObject]] = {resource: {} for resource in PREFIXES}
        self._deleted: dict[str, set[str]] = {resource: set() for resource in PREFIXES}
        # (created, serial number, id), ascending: lists are given newest first.
        self._order: dict[str, list[tuple[int, int, str]]] = {resource: [] for resource in PREFIXES}
        self._newest_first: dict[str, list[StripeObject]] = {}
        self._serial = 0

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
        """Every object that still is there, newest first."""
        if resource not in self._newest_first:
            objects = self._objects[resource]
            self._newest_first[resource] = [
                objects[object_id] for _, _, object_id in reversed(self._order[resource])
            ]
        return self._newest_first[resource]

    # -- acts --------------------------------------------------------------------------------

    def add_customer(self, *, created: Instant | None = None, **fields: Any) -> str:
        """A customer. `fields` replace or add to what the API shows, such as name, email, currency."""
        return self._add(
            "customers",
            created,
            {
                "address": None,
                "balance": 0,
                "currency": None,
                "default_source": None,
                "delinquent": False,
                "description": None,
                "email": None,
                "metadata": {},
                "name": None,
                "phone": None,
                "preferred_locales": [],
                "shipping": None,
                "tax_exempt": "none",
            },
            fields,
        )

    def add_product(self, name: str, *, created: Instant | None = None, **fields: Any) -> str:
        """A product."""
        base: StripeObject = {
            "active": True,
            "description": None,
            "metadata": {},
            "name": name,
            "type": "service",
        }
        return self._add("products", created, base, fields)

    def add_price(
        self,
        product: str,
        currency: str,
        unit_amount: int | None,
        *,
        interval: str | None = "month",
        interval_count: int = 1,
        usage_type: str = "licensed",
        created: Instant | None = None,
        **fields: Any,
    ) -> str:
        """A price of a product; recurring, unless `interval` is None."""
        recurring = interval and {
            "interval": interval,
            "interval_count": interval_count,
            "meter": None,
            "trial_period_days": None,
            "usage_type": usage_type,
        }
        base: StripeObject = {
            "active": True,
            "billing_scheme": "per_unit",
            "currency": currency,
            "metadata": {},
            "nickname": None,
            "product": product,
            "recurring": recurring,
            "tiers_mode": None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": unit_amount,
            "unit_amount_decimal": None if unit_amount is None else str(unit_amount),
        }
        return self._add("prices", created, base, fields)

    def add_subscription(
        self,
        customer: str,
        items: Iterable[Item],
        *,
        created: Instant | None = None,
        status: str = "active",
        period: tuple[Instant, Instant] | None = None,
        **fields: Any,
    ) -> str:
        """A subscription with its items; `period` is the current period of all of them."""
        start = seconds(created) or self.now
        from_, to = period or (start, start + 30 * 86400)
        subscription_id = self._next_id("subscriptions")
        rows = [self._item(subscription_id, item, start, (from_, to)) for item in items]
        base: StripeObject = {
            "id": subscription_id,
            "billing_cycle_anchor": start,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "collection_method": "charge_automatically",
            "currency": rows[0]["price"]["currency"] if rows else None,
            "customer": customer,
            "description": None,
            "discounts": [],
            "ended_at": None,
            "items": rows,
            "latest_invoice": None,
            "metadata": {},
            "pause_collection": None,
            "start_date": start,
            "status": status,
            "trial_end": None,
            "trial_start": None,
        }
        return self._add("subscriptions", start, base, fields)

    def add_invoice(
        self,
        customer: str,
        currency: str,
        lines: Sequence[Line],
        *,
        created: Instant | None = None,
        subscription: str | None = None,
        status: str = "draft",
        at: Instant | None = None,
        **fields: Any,
    ) -> str:
        """An invoice in any state: a draft, or finalised at `at` and perhaps moved on from there at once.

        For steps at different times make a draft, then finalize, pay, void or mark_uncollectible.
        """
        start = seconds(created) or self.now
        who = self.get("customers", customer) or {}
        invoice_id = self._next_id("invoices")
        base: StripeObject = {
            "id": invoice_id,
            "account_country": "US",
            "account_name": "Loopback",
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": False,
            "billing_reason": "subscription_cycle" if subscription else "manual",
            "collection_method": "charge_automatically",
            "currency": currency,
            "customer": customer,
            "customer_address": who.get("address"),
            "customer_email": who.get("email"),
            "customer_name": who.get("name"),
            "customer_phone": who.get("phone"),
            "customer_shipping": who.get("shipping"),
            "description": None,
            "discounts": [],
            "due_date": None,
            "footer": None,
            "metadata": {},
            "number": None,
            "parent": subscription
            and {
                "type": "subscription_details",
                "quote_details": None,
                "subscription_details": {"metadata": {}, "subscription": subscription},
            },
            "period_end": start,
            "period_start": start,
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
            "starting_balance": 0,
            "ending_balance": None,
            "status": "draft",
            "status_transitions": {
                "finalized_at": None,
                "marked_uncollectible_at": None,
                "paid_at": None,
                "voided_at": None,
            },
            "amount_paid": 0,
            "amount_overpaid": 0,
            "amount_shipping": 0,
            "lines": [self._line(invoice_id, line, currency, start) for line in lines],
        }
        self._add("invoices", start, base, fields)
        self._sum_up(invoice_id)
        if status != "draft":
            self.finalize(invoice_id, at if at is not None else start)
        if status == "paid":
            self.pay(invoice_id, at if at is not None else start)
        elif status == "void":
            self.void(invoice_id, at if at is not None else start)
        elif status == "uncollectible":
            self.mark_uncollectible(invoice_id, at if at is not None else start)
        return invoice_id

    def finalize(self, invoice_id: str, at: Instant | None = None) -> None:
        """Turn a draft into an open invoice."""
        self._turn(invoice_id, "open", "finalized_at", at)

    def pay(self, invoice_id: str, at: Instant | None = None, amount: int | None = None) -> None:
        """Pay what is due, or a part of it, or more than it."""
        invoice = self._objects["invoices"][invoice_id]
        paid = invoice["amount_paid"] + (invoice["amount_remaining"] if amount is None else amount)
        invoice["amount_paid"] = paid
        invoice["amount_remaining"] = max(invoice["amount_due"] - paid, 0)
        invoice["amount_overpaid"] = max(paid - invoice["amount_due"], 0)
        if invoice["amount_remaining"] == 0:
            self._turn(invoice_id, "paid", "paid_at", at)

    def void(self, invoice_id: str, at: Instant | None = None) -> None:
        """Declare an invoice never to have been owed."""
        self._turn(invoice_id, "void", "voided_at", at)

    def mark_uncollectible(self, invoice_id: str, at: Instant | None = None) -> None:
        """Give an invoice up."""
        self._turn(invoice_id, "uncollectible", "marked_uncollectible_at", at)

    def add_line(self, invoice_id: str, line: Line) -> str:
        """Put one more line on a draft."""
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            row = self._line(invoice_id, line, invoice["currency"], invoice["created"])
            invoice["lines"].append(row)
            self._sum_up(invoice_id)
            return str(row["id"])

    def remove_line(self, invoice_id: str, line_id: str) -> None:
        """Take a line off a draft."""
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            invoice["lines"] = [line for line in invoice["lines"] if line["id"] != line_id]
            self._sum_up(invoice_id)

    def cancel(self, subscription_id: str, at: Instant | None = None) -> None:
        """End a subscription at once."""
        moment = self.now if at is None else seconds(at)
        self.change("subscriptions", subscription_id, status="canceled", canceled_at=moment, ended_at=moment)

    def change(self, resource: str, object_id: str, **fields: Any) -> None:
        """Set fields of one object, as the newest shape names them."""
        with self.lock:
            self._objects[resource][object_id].update(fields)

    def delete(self, resource: str, object_id: str) -> None:
        """Delete an object: it is in no list any more."""
        with self.lock:
            gone = self._objects[resource].pop(object_id)
            self._order[resource] = [entry for entry in self._order[resource] if entry[2] != gone["id"]]
            self._newest_first.pop(resource, None)
            self._deleted[resource].add(object_id)

    # -- making ------------------------------------------------------------------------------

    def _next_id(self, resource: str) -> str:
        with self.lock:
            self._serial += 1
            return f"{PREFIXES[resource]}_{self._serial:012d}"

    def _add(self, resource: str, created: Instant | None, base: StripeObject, fields: dict[str, Any]) -> str:
        with self.lock:
            row = {
                "id": base.get("id") or self._next_id(resource),
                "object": KINDS[resource],
                "created": self.now if created is None else seconds(created),
                "livemode": self.livemode,
                **base,
                **fields,
            }
            self._objects[resource][row["id"]] = row
            self._newest_first.pop(resource, None)
            bisect.insort(self._order[resource], (row["created"], self._serial, row["id"]))
            return str(row["id"])

    def _item(
        self, subscription_id: str, item: Item, created: int, period: tuple[Instant, Instant]
    ) -> StripeObject:
        with self.lock:
            self._serial += 1
            return {
                "id": f"si_{self._serial:012d}",
                "object": "subscription_item",
                "created": created,
                "current_period_start": seconds(period[0]),
                "current_period_end": seconds(period[1]),
                "discounts": [],
                "metadata": {},
                "price": self._objects["prices"][item.price],
                "quantity": item.quantity,
                "subscription": subscription_id,
                "tax_rates": [],
            }

    def _line(self, invoice_id: str, line: Line, currency: str, created: int) -> StripeObject:
        with self.lock:
            self._serial += 1
            serial = self._serial
        from_, to = line.period or (created, created)
        invoice_item = f"ii_{serial:012d}" if line.invoice_item or not line.subscription_item else None
        if line.subscription_item:
            kind = "subscription_item_details"
            details: StripeObject = {
                "invoice_item": invoice_item,
                "proration": line.proration,
                "proration_details": None,
                "subscription": line.subscription,
                "subscription_item": line.subscription_item,
            }
        else:
            kind = "invoice_item_details"
            details = {
                "invoice_item": invoice_item,
                "proration": line.proration,
                "proration_details": None,
                "subscription": line.subscription,
            }
        price = self._objects["prices"].get(line.price) if line.price else None
        other = "invoice_item_details" if line.subscription_item else "subscription_item_details"
        return {
            "id": f"il_{serial:012d}",
            "object": "line_item",
            "amount": line.amount,
            "currency": currency,
            "description": line.description,
            "discount_amounts": [{"amount": line.discount_amount, "discount": f"di_{serial:012d}"}]
            if line.discount_amount
            else [],
            "discountable": True,
            "discounts": [],
            "invoice": invoice_id,
            "livemode": self.livemode,
            "metadata": line.metadata,
            "parent": {"type": kind, kind: details, other: None},
            "period": {"start": seconds(from_), "end": seconds(to)},
            "pretax_credit_amounts": [],
            "pricing": price
            and {
                "type": "price_details",
                "price_details": {"price": price["id"], "product": price["product"]},
                "unit_amount_decimal": price["unit_amount_decimal"],
            },
            "quantity": line.quantity,
            "subscription": line.subscription,
            "subtotal": line.amount,
            "taxes": [
                {
                    "amount": line.tax_amount,
                    "tax_behavior": "exclusive",
                    "tax_rate_details": {"tax_rate": "txr_000000000001"},
                    "taxability_reason": "standard_rated",
                    "taxable_amount": line.amount - line.discount_amount,
                    "type": "tax_rate_details",
                }
            ]
            if line.tax_amount
            else [],
        }

    def _sum_up(self, invoice_id: str) -> None:
        invoice = self._objects["invoices"][invoice_id]
        lines = invoice["lines"]
        discounts = [discount for line in lines for discount in line["discount_amounts"]]
        taxes = [tax for line in lines for tax in line["taxes"]]
        subtotal = sum(line["amount"] for line in lines)
        without_tax = subtotal - sum(discount["amount"] for discount in discounts)
        total = without_tax + sum(tax["amount"] for tax in taxes)
        # What a credit note of the customer's balance covers is not due; too small or negative totals never are.
        due = max(total + invoice["starting_balance"], 0)
        invoice.update(
            subtotal=subtotal,
            subtotal_excluding_tax=subtotal,
            total=total,
            total_excluding_tax=without_tax,
            total_discount_amounts=discounts,
            total_taxes=taxes,
            amount_due=due,
            amount_remaining=max(due - invoice["amount_paid"], 0),
        )

    def _turn(self, invoice_id: str, status: str, moment: str, at: Instant | None) -> None:
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            invoice["status"] = status
            invoice["status_transitions"][moment] = self.now if at is None else seconds(at)
            if status == "open":
                invoice["number"] = f"LOOP-{invoice_id[-6:]}"
