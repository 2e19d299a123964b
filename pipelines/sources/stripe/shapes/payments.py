"""Rows of what was paid, credited and given back."""

from collections.abc import Mapping
from typing import Any

from pipelines.sources.stripe.shapes.reading import UNREADABLE, Row, at, entries, id_of, is_whole, sum_of


def invoice_payment(raw: Mapping[str, Any]) -> Row:
    """The row of a payment of an invoice, made or awaited."""
    return {
        "id": raw.get("id"),
        "invoice_id": id_of(raw.get("invoice")),
        "status": raw.get("status"),
        "currency": raw.get("currency"),
        "amount_requested": raw.get("amount_requested"),
        "amount_paid": raw.get("amount_paid"),
        "is_default": raw.get("is_default"),
        "payment_type": at(raw, "payment", "type"),
        "payment_intent_id": id_of(at(raw, "payment", "payment_intent")),
        "charge_id": id_of(at(raw, "payment", "charge")),
        "created_at": raw.get("created"),
        "paid_at": at(raw, "status_transitions", "paid_at"),
        "canceled_at": at(raw, "status_transitions", "canceled_at"),
        "livemode": raw.get("livemode"),
    }


def credit_note(raw: Mapping[str, Any]) -> Row:
    """The row of a credit note, and where its amount went."""
    after, elsewhere = raw.get("post_payment_amount"), raw.get("out_of_band_amount")
    refunded = (
        sum_of(raw.get("refunds"), "amount_refunded")
        if "refunds" in raw
        # Older shapes name one refund, which covers what is neither outside nor on the balance.
        else (after if raw.get("refund") else 0)
    )
    parts: tuple[Any, ...] = (after, refunded, 0 if elsewhere is None else elsewhere)
    return {
        "id": raw.get("id"),
        "invoice_id": id_of(raw.get("invoice")),
        "customer_id": id_of(raw.get("customer")),
        "status": raw.get("status"),
        "type": raw.get("type"),
        "reason": raw.get("reason"),
        "currency": raw.get("currency"),
        "amount": raw.get("amount"),
        "subtotal": raw.get("subtotal"),
        "discount_amount": raw.get("discount_amount"),
        "tax": sum_of(raw.get("total_taxes", raw.get("tax_amounts"))),
        "total": raw.get("total"),
        "total_excluding_tax": raw.get("total_excluding_tax"),
        "pre_payment_amount": raw.get("pre_payment_amount"),
        "post_payment_amount": after,
        "out_of_band_amount": elsewhere,
        "refunded_amount": refunded,
        "credited_to_balance_amount": parts[0] - parts[1] - parts[2]
        if all(is_whole(part) for part in parts)
        else (None if after is None else UNREADABLE),
        "customer_balance_transaction_id": id_of(raw.get("customer_balance_transaction")),
        "created_at": raw.get("created"),
        "effective_at": raw.get("effective_at"),
        "voided_at": raw.get("voided_at"),
        "livemode": raw.get("livemode"),
    }


def credit_note_refunds(raw: Mapping[str, Any]) -> list[Row]:
    """The refunds that a credit note is paid back with."""
    return [
        {
            "id": f"{raw.get('id')}/{position}",
            "credit_note_id": raw.get("id"),
            "refund_id": id_of(at(entry, "refund")),
            "amount": at(entry, "amount_refunded"),
        }
        for position, entry in enumerate(entries(raw.get("refunds")))
    ]


def refund(raw: Mapping[str, Any]) -> Row:
    """The row of a refund."""
    return {
        "id": raw.get("id"),
        "status": raw.get("status"),
        "currency": raw.get("currency"),
        "amount": raw.get("amount"),
        "reason": raw.get("reason"),
        "failure_reason": raw.get("failure_reason"),
        "charge_id": id_of(raw.get("charge")),
        "payment_intent_id": id_of(raw.get("payment_intent")),
        "balance_transaction_id": id_of(raw.get("balance_transaction")),
        "failure_balance_transaction_id": id_of(raw.get("failure_balance_transaction")),
        "created_at": raw.get("created"),
        "livemode": raw.get("livemode"),
    }


def balance_transaction(raw: Mapping[str, Any]) -> Row:
    """The row of a movement of the account's balance: nothing of it changes later."""
    return {
        "id": raw.get("id"),
        "type": raw.get("type"),
        "reporting_category": raw.get("reporting_category"),
        "currency": raw.get("currency"),
        "amount": raw.get("amount"),
        "fee": raw.get("fee"),
        "net": raw.get("net"),
        "source_id": id_of(raw.get("source")),
        "created_at": raw.get("created"),
        "available_at": raw.get("available_on"),
        "livemode": raw.get("livemode"),
    }
