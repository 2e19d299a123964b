"""Rows of invoices and of their lines."""

from collections.abc import Mapping
from typing import Any

from pipelines.sources.stripe.shapes.reading import UNREADABLE, Row, at, id_of, is_whole, sum_of


def invoice(raw: Mapping[str, Any]) -> Row:
    """The row of an invoice, without its lines."""
    return {
        "id": raw.get("id"),
        "customer_id": id_of(raw.get("customer")),
        "subscription_id": id_of(at(raw, "parent", "subscription_details", "subscription"))
        or id_of(raw.get("subscription")),
        "status": raw.get("status"),
        "billing_reason": raw.get("billing_reason"),
        "collection_method": raw.get("collection_method"),
        "currency": raw.get("currency"),
        "subtotal": raw.get("subtotal"),
        "discount_amount": sum_of(raw.get("total_discount_amounts")),
        "tax": _invoice_tax(raw),
        "total_excluding_tax": raw.get("total_excluding_tax"),
        "total": raw.get("total"),
        "starting_balance": raw.get("starting_balance"),
        "ending_balance": raw.get("ending_balance"),
        "amount_due": raw.get("amount_due"),
        "amount_paid": raw.get("amount_paid"),
        "amount_remaining": raw.get("amount_remaining"),
        "amount_overpaid": _overpaid(raw),
        "pre_payment_credit_notes_amount": raw.get("pre_payment_credit_notes_amount"),
        "post_payment_credit_notes_amount": raw.get("post_payment_credit_notes_amount"),
        "created_at": raw.get("created"),
        "effective_at": raw.get("effective_at"),
        "due_at": raw.get("due_date"),
        "finalized_at": at(raw, "status_transitions", "finalized_at"),
        "paid_at": at(raw, "status_transitions", "paid_at"),
        "voided_at": at(raw, "status_transitions", "voided_at"),
        "marked_uncollectible_at": at(raw, "status_transitions", "marked_uncollectible_at"),
        "period_start_at": raw.get("period_start"),
        "period_end_at": raw.get("period_end"),
        "livemode": raw.get("livemode"),
    }


def invoice_line(raw: Mapping[str, Any], invoice_id: str, position: int) -> Row:
    """The row of a line of an invoice; `position` counts from 0."""
    inclusive, exclusive = _taxes(raw.get("taxes", raw.get("tax_amounts")))
    kind = at(raw, "parent", "type")
    parent = at(raw, "parent", kind) if isinstance(kind, str) else None
    details = parent if isinstance(parent, dict) else raw
    price = at(raw, "pricing", "price_details") or raw.get("price") or {}
    item = id_of(details.get("subscription_item"))
    return {
        "id": raw.get("id"),
        "invoice_id": invoice_id,
        "position": position,
        # Before 2025-03-31 a proration of a subscription's item counted as an invoice item; the item tells.
        "line_type": "subscription_item" if item else "invoice_item",
        "subscription_id": id_of(details.get("subscription")) or id_of(raw.get("subscription")),
        "subscription_item_id": item,
        "invoice_item_id": id_of(details.get("invoice_item")),
        "price_id": id_of(at(price, "price")) or id_of(at(price, "id")),
        "product_id": id_of(at(price, "product")),
        "quantity": raw.get("quantity"),
        "unit_amount_decimal": at(raw, "pricing", "unit_amount_decimal") or at(price, "unit_amount_decimal"),
        "currency": raw.get("currency"),
        "amount": raw.get("amount"),
        "discount_amount": sum_of(raw.get("discount_amounts")),
        "tax": inclusive + exclusive if is_whole(inclusive) and is_whole(exclusive) else UNREADABLE,
        "inclusive_tax": inclusive,
        "exclusive_tax": exclusive,
        "is_proration": details.get("proration", False),
        "period_start_at": at(raw, "period", "start"),
        "period_end_at": at(raw, "period", "end"),
    }


def _taxes(parts: object) -> tuple[Any, Any]:
    """The sums of inclusive and of exclusive taxes of a line."""
    if not isinstance(parts, list):
        return sum_of(parts), 0
    inclusive = [part for part in parts if at(part, "tax_behavior") == "inclusive" or at(part, "inclusive")]
    return sum_of(inclusive), sum_of([part for part in parts if part not in inclusive])


def _invoice_tax(raw: Mapping[str, Any]) -> Any:
    parts = raw.get("total_taxes", raw.get("total_tax_amounts"))
    # Very old invoices have a sum of taxes, but not its parts.
    return sum_of(parts) if parts or raw.get("tax") is None else raw["tax"]


def _overpaid(raw: Mapping[str, Any]) -> Any:
    if "amount_overpaid" in raw:
        return raw["amount_overpaid"]
    paid, due = raw.get("amount_paid"), raw.get("amount_due")
    return max(paid - due, 0) if isinstance(paid, int) and isinstance(due, int) else None
