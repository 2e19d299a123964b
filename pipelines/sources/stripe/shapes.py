"""One row from either shape of a Stripe object: pure functions from parsed JSON to the fields that are kept.

What a function does not name is dropped here, before anything is stored: names, addresses, e-mail addresses,
descriptions and metadata. Values are passed on as they came (amounts in minor units, instants in seconds since
1970); `tables` checks them. An absent field is None, a sum over something that is no list of amounts UNREADABLE.
"""

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]

UNREADABLE = object()
"""Stands for a value of an unexpected shape, which no column accepts."""


def invoice(raw: Mapping[str, Any]) -> Row:
    """The row of an invoice, without its lines."""
    return {
        "id": raw.get("id"),
        "customer_id": _id(raw.get("customer")),
        "subscription_id": _id(_at(raw, "parent", "subscription_details", "subscription"))
        or _id(raw.get("subscription")),
        "status": raw.get("status"),
        "billing_reason": raw.get("billing_reason"),
        "collection_method": raw.get("collection_method"),
        "currency": raw.get("currency"),
        "subtotal": raw.get("subtotal"),
        "discount_amount": _sum(raw.get("total_discount_amounts")),
        "tax": _invoice_tax(raw),
        "total_excluding_tax": raw.get("total_excluding_tax"),
        "total": raw.get("total"),
        "starting_balance": raw.get("starting_balance"),
        "amount_due": raw.get("amount_due"),
        "amount_paid": raw.get("amount_paid"),
        "amount_remaining": raw.get("amount_remaining"),
        "amount_overpaid": _overpaid(raw),
        "pre_payment_credit_notes_amount": raw.get("pre_payment_credit_notes_amount"),
        "post_payment_credit_notes_amount": raw.get("post_payment_credit_notes_amount"),
        "created_at": raw.get("created"),
        "finalized_at": _at(raw, "status_transitions", "finalized_at"),
        "paid_at": _at(raw, "status_transitions", "paid_at"),
        "voided_at": _at(raw, "status_transitions", "voided_at"),
        "marked_uncollectible_at": _at(raw, "status_transitions", "marked_uncollectible_at"),
        "period_start_at": raw.get("period_start"),
        "period_end_at": raw.get("period_end"),
        "livemode": raw.get("livemode"),
        "is_deleted": raw.get("deleted", False),
    }


def invoice_line(raw: Mapping[str, Any], invoice_id: str) -> Row:
    """The row of a line of an invoice."""
    kind = _at(raw, "parent", "type")
    parent = _at(raw, "parent", kind) if isinstance(kind, str) else None
    details = parent if isinstance(parent, Mapping) else raw
    price = _at(raw, "pricing", "price_details") or raw.get("price") or {}
    item = _id(details.get("subscription_item"))
    return {
        "id": raw.get("id"),
        "invoice_id": invoice_id,
        # Before 2025-03-31 a proration of a subscription's item counted as an invoice item; the item tells.
        "line_type": "subscription_item" if item else "invoice_item",
        "subscription_id": _id(details.get("subscription")) or _id(raw.get("subscription")),
        "subscription_item_id": item,
        "invoice_item_id": _id(details.get("invoice_item")),
        "price_id": _id(_at(price, "price")) or _id(_at(price, "id")),
        "product_id": _id(_at(price, "product")),
        "quantity": raw.get("quantity"),
        "currency": raw.get("currency"),
        "amount": raw.get("amount"),
        "discount_amount": _sum(raw.get("discount_amounts")),
        "tax": _sum(raw.get("taxes", raw.get("tax_amounts"))),
        "is_proration": details.get("proration", False),
        "period_start_at": _at(raw, "period", "start"),
        "period_end_at": _at(raw, "period", "end"),
        "livemode": raw.get("livemode"),
        "is_deleted": False,
    }


def customer(raw: Mapping[str, Any]) -> Row:
    """The row of a customer: nothing that tells who it is."""
    return {
        "id": raw.get("id"),
        "currency": raw.get("currency"),
        "delinquent": raw.get("delinquent"),
        "created_at": raw.get("created"),
        "livemode": raw.get("livemode"),
        "is_deleted": raw.get("deleted", False),
    }


def subscription(raw: Mapping[str, Any], items: list[Row]) -> Row:
    """The row of a subscription; its current period reaches over those of its items."""
    starts = [item["current_period_start_at"] for item in items if _whole(item["current_period_start_at"])]
    ends = [item["current_period_end_at"] for item in items if _whole(item["current_period_end_at"])]
    return {
        "id": raw.get("id"),
        "customer_id": _id(raw.get("customer")),
        "status": raw.get("status"),
        "collection_method": raw.get("collection_method"),
        "currency": raw.get("currency"),
        "created_at": raw.get("created"),
        "start_at": raw.get("start_date"),
        "trial_start_at": raw.get("trial_start"),
        "trial_end_at": raw.get("trial_end"),
        "current_period_start_at": min(starts, default=raw.get("current_period_start")),
        "current_period_end_at": max(ends, default=raw.get("current_period_end")),
        "cancel_at": raw.get("cancel_at"),
        "cancel_at_period_end": raw.get("cancel_at_period_end"),
        "canceled_at": raw.get("canceled_at"),
        "ended_at": raw.get("ended_at"),
        "livemode": raw.get("livemode"),
        "is_deleted": raw.get("deleted", False),
    }


def subscription_item(raw: Mapping[str, Any], owner: Mapping[str, Any]) -> Row:
    """The row of an item of a subscription, with what its price says about it."""
    return {
        "id": raw.get("id"),
        "subscription_id": owner.get("id"),
        "price_id": _id(raw.get("price")),
        "product_id": _id(_at(raw, "price", "product")),
        "currency": _at(raw, "price", "currency"),
        "unit_amount": _at(raw, "price", "unit_amount"),
        "unit_amount_decimal": _at(raw, "price", "unit_amount_decimal"),
        "quantity": raw.get("quantity"),
        "interval": _at(raw, "price", "recurring", "interval"),
        "interval_count": _at(raw, "price", "recurring", "interval_count"),
        "usage_type": _at(raw, "price", "recurring", "usage_type"),
        "current_period_start_at": raw.get("current_period_start", owner.get("current_period_start")),
        "current_period_end_at": raw.get("current_period_end", owner.get("current_period_end")),
        "created_at": raw.get("created"),
        "livemode": owner.get("livemode"),
        "is_deleted": False,
    }


def _at(raw: object, *path: str) -> Any:
    for name in path:
        raw = raw.get(name) if isinstance(raw, Mapping) else None
    return raw


def _id(reference: object) -> Any:
    """The id of an object that is given by its id or, expanded, whole."""
    return reference.get("id") if isinstance(reference, Mapping) else reference


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _sum(parts: object) -> Any:
    if parts is None:
        return 0
    if not isinstance(parts, list):
        return UNREADABLE
    amounts = [_at(part, "amount") for part in parts]
    return sum(amounts) if all(_whole(amount) for amount in amounts) else UNREADABLE


def _invoice_tax(raw: Mapping[str, Any]) -> Any:
    parts = raw.get("total_taxes", raw.get("total_tax_amounts"))
    # Very old invoices have a sum of taxes, but not its parts.
    return _sum(parts) if parts or raw.get("tax") is None else raw["tax"]


def _overpaid(raw: Mapping[str, Any]) -> Any:
    if "amount_overpaid" in raw:
        return raw["amount_overpaid"]
    paid, due = raw.get("amount_paid"), raw.get("amount_due")
    return max(paid - due, 0) if isinstance(paid, int) and isinstance(due, int) else None
