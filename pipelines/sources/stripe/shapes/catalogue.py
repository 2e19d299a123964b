"""Rows of customers and of what is sold to them: products, prices, coupons, discounts."""

import math
from collections.abc import Mapping
from typing import Any

from pipelines.sources.stripe.shapes.reading import UNREADABLE, Row, at, entries, id_of


def customer(raw: Mapping[str, Any]) -> Row:
    """The row of a customer: nothing that tells who it is."""
    discount = raw.get("discount")
    return {
        "id": raw.get("id"),
        "currency": raw.get("currency"),
        "delinquent": raw.get("delinquent"),
        **{
            f"discount_{name}": value
            for name, value in discount_row(discount if isinstance(discount, dict) else {}).items()
            if name != "duration_in_months"
        },
        "created_at": raw.get("created"),
        "livemode": raw.get("livemode"),
    }


def discount_row(raw: object) -> Row:
    """What a discount says, and its coupon where that came along (else only the coupon's id)."""
    found = at(raw, "source", "coupon") or at(raw, "coupon")
    coupon = found if isinstance(found, dict) else {}
    return {
        "id": id_of(raw),
        "coupon_id": id_of(found),
        "percent_off": decimal_text(coupon.get("percent_off")),
        "amount_off": coupon.get("amount_off"),
        "currency": coupon.get("currency"),
        "duration": coupon.get("duration"),
        "duration_in_months": coupon.get("duration_in_months"),
        "start_at": at(raw, "start"),
        "end_at": at(raw, "end"),
    }


def product(raw: Mapping[str, Any]) -> Row:
    """The row of a product."""
    return {
        "id": raw.get("id"),
        "active": raw.get("active"),
        "created_at": raw.get("created"),
        "livemode": raw.get("livemode"),
    }


def price_terms(raw: object) -> Row:
    """What a price says wherever it is shown."""
    return {
        "product_id": id_of(at(raw, "product")),
        "currency": at(raw, "currency"),
        "price_type": at(raw, "type"),
        "billing_scheme": at(raw, "billing_scheme"),
        "tiers_mode": at(raw, "tiers_mode"),
        "unit_amount": at(raw, "unit_amount"),
        "unit_amount_decimal": at(raw, "unit_amount_decimal"),
        "interval": at(raw, "recurring", "interval"),
        "interval_count": at(raw, "recurring", "interval_count"),
        "usage_type": at(raw, "recurring", "usage_type"),
        "transform_divide_by": at(raw, "transform_quantity", "divide_by"),
        "transform_round": at(raw, "transform_quantity", "round"),
    }


def price(raw: Mapping[str, Any]) -> Row:
    """The row of a price, without its tiers and other currencies."""
    return {
        "id": raw.get("id"),
        **price_terms(raw),
        "active": raw.get("active"),
        "tax_behavior": raw.get("tax_behavior"),
        "created_at": raw.get("created"),
        "livemode": raw.get("livemode"),
    }


def price_tiers(raw: Mapping[str, Any]) -> list[Row]:
    """The tiers of a price, in its own currency and in those of its other currencies that show theirs."""
    own = raw.get("currency")
    listed = {own: raw.get("tiers")} | {
        code: at(option, "tiers") for code, option in _options(raw).items() if code != own
    }
    return [
        {
            "id": f"{raw.get('id')}/{code}/{position}",
            "price_id": raw.get("id"),
            "currency": code,
            "position": position,
            **{
                name: at(tier, name)
                for name in (
                    "up_to",
                    "unit_amount",
                    "unit_amount_decimal",
                    "flat_amount",
                    "flat_amount_decimal",
                )
            },
        }
        for code, tiers in listed.items()
        for position, tier in enumerate(entries(tiers))
    ]


def price_currency_options(raw: Mapping[str, Any]) -> list[Row]:
    """The amounts of a price in currencies other than its own."""
    return [
        {
            "id": f"{raw.get('id')}/{code}",
            "price_id": raw.get("id"),
            "currency": code,
            **{name: at(option, name) for name in ("unit_amount", "unit_amount_decimal", "tax_behavior")},
        }
        for code, option in _options(raw).items()
        if code != raw.get("currency")
    ]


def coupon(raw: Mapping[str, Any]) -> Row:
    """The row of a coupon."""
    return {
        "id": raw.get("id"),
        "duration": raw.get("duration"),
        "duration_in_months": raw.get("duration_in_months"),
        "percent_off": decimal_text(raw.get("percent_off")),
        "amount_off": raw.get("amount_off"),
        "currency": raw.get("currency"),
        "valid": raw.get("valid"),
        "has_product_limits": isinstance(raw.get("applies_to"), dict),
        "created_at": raw.get("created"),
        "livemode": raw.get("livemode"),
    }


def coupon_products(raw: Mapping[str, Any]) -> list[Row]:
    """The products that a coupon is limited to."""
    return [
        {"id": f"{raw.get('id')}/{product_id}", "coupon_id": raw.get("id"), "product_id": product_id}
        for product_id in entries(at(raw, "applies_to", "products"))
    ]


def coupon_currency_options(raw: Mapping[str, Any]) -> list[Row]:
    """The amounts of a coupon in currencies other than its own."""
    return [
        {
            "id": f"{raw.get('id')}/{code}",
            "coupon_id": raw.get("id"),
            "currency": code,
            "amount_off": at(option, "amount_off"),
        }
        for code, option in _options(raw).items()
        if code != raw.get("currency")
    ]


def decimal_text(value: object) -> Any:
    """A number of JSON as exact decimal text: the shortest that reads as the same number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if not math.isfinite(value):
        return UNREADABLE
    return str(int(value)) if value == int(value) else str(value)


def _options(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    options = raw.get("currency_options")
    return options if isinstance(options, dict) else {}
