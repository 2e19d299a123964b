"""Rows of subscriptions, their items and their discounts."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipelines.sources.stripe.shapes.catalogue import discount_row, price_terms
from pipelines.sources.stripe.shapes.reading import UNREADABLE, Row, at, entries, id_of, is_whole


def subscription(raw: Mapping[str, Any], items: list[Row]) -> Row:
    """The row of a subscription; its current period reaches over those of its items."""
    starts = [item["current_period_start_at"] for item in items if is_whole(item["current_period_start_at"])]
    ends = [item["current_period_end_at"] for item in items if is_whole(item["current_period_end_at"])]
    return {
        "id": raw.get("id"),
        "customer_id": id_of(raw.get("customer")),
        "status": raw.get("status"),
        "collection_method": raw.get("collection_method"),
        "currency": raw.get("currency"),
        "latest_invoice_id": id_of(raw.get("latest_invoice")),
        "created_at": raw.get("created"),
        "start_at": raw.get("start_date"),
        "billing_cycle_anchor_at": raw.get("billing_cycle_anchor"),
        "trial_start_at": raw.get("trial_start"),
        "trial_end_at": raw.get("trial_end"),
        "current_period_start_at": min(starts, default=raw.get("current_period_start")),
        "current_period_end_at": max(ends, default=raw.get("current_period_end")),
        "cancel_at": raw.get("cancel_at"),
        "cancel_at_period_end": raw.get("cancel_at_period_end"),
        "canceled_at": raw.get("canceled_at"),
        "ended_at": raw.get("ended_at"),
        "pause_behavior": at(raw, "pause_collection", "behavior"),
        "pause_resumes_at": at(raw, "pause_collection", "resumes_at"),
        "livemode": raw.get("livemode"),
    }


def subscription_item(raw: Mapping[str, Any], owner: Mapping[str, Any]) -> Row:
    """The row of an item of a subscription, with what its price says about it."""
    return {
        "id": raw.get("id"),
        "subscription_id": owner.get("id"),
        "price_id": id_of(raw.get("price")),
        **price_terms(raw.get("price")),
        "inclusive_tax_percentage": inclusive_tax_percentage(
            entries(raw.get("tax_rates")) or entries(owner.get("default_tax_rates"))
        ),
        "quantity": raw.get("quantity"),
        "current_period_start_at": raw.get("current_period_start", owner.get("current_period_start")),
        "current_period_end_at": raw.get("current_period_end", owner.get("current_period_end")),
        "created_at": raw.get("created"),
    }


def inclusive_tax_percentage(rates: list[Any]) -> Any:
    """The sum of the tax rates that prices include, as exact decimal text; None without such a rate."""
    inclusive = [at(rate, "percentage") for rate in rates if at(rate, "inclusive")]
    if not inclusive:
        return None
    if not all(isinstance(rate, int | float) and not isinstance(rate, bool) for rate in inclusive):
        return UNREADABLE
    return format(sum((Decimal(str(rate)) for rate in inclusive), Decimal(0)), "f")


def subscription_discounts(raw: Mapping[str, Any], items: list[Mapping[str, Any]]) -> list[Row]:
    """The discounts of a subscription, in the order in which they are taken off, then those of its items."""
    whole = entries(raw.get("discounts"))
    if not any(isinstance(entry, dict) for entry in whole) and isinstance(raw.get("discount"), dict):
        # The shape from before 2025-03-31, where it could have one only.
        whole = [raw["discount"]]
    found = [(None, position, entry) for position, entry in enumerate(whole)]
    for item in items:
        found += [
            (item.get("id"), position, entry) for position, entry in enumerate(entries(item.get("discounts")))
        ]
    return [
        {
            **{name: value for name, value in discount_row(entry).items() if name != "id"},
            "id": f"{raw.get('id')}/{item_id or ''}/{id_of(entry)}",
            "subscription_id": raw.get("id"),
            "subscription_item_id": item_id,
            "position": position,
            "discount_id": id_of(entry),
        }
        for item_id, position, entry in found
    ]
