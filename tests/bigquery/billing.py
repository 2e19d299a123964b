"""What Stripe bills in the scene, as it stands before each of the two builds.

Every way in which money moves, in currencies with none, two and three decimals. Between the builds everything is changed that
Stripe lets change: a payment, a refund and a credit note come late, a refund fails, a credit note and an invoice are declared
void, a coupon and a tier are other ones, subscriptions are seen again.
"""

import datetime as dt
from random import Random
from typing import Any

from mrr_lives import life_before, tell
from mrr_support import Raw

LIVES = 7
"""Subscriptions made up by chance."""

FOREVER = {"duration": "forever"}


def at(month: int, day: int, hour: int = 9) -> dt.datetime:
    """An instant of 2025."""
    return dt.datetime(2025, month, day, hour, tzinfo=dt.UTC)


def month_from(start: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The monthly period that begins at an instant."""
    return start, start.replace(month=start.month + 1)


def bill(raw: Raw, step: int, first_look: dt.datetime) -> None:
    """Write everything that Stripe shows before the first (0) or the second (1) build."""
    lives(raw, first_look)
    prices(raw, step)
    coupons(raw, step)
    subscriptions(raw, step, first_look)
    invoices(raw, step)
    refunds(raw, step)
    credit_notes(raw, step)
    raw.rows["resources"] = [
        {
            "resource": name,
            # From the second build on the key may read no events any more.
            "state": "unavailable" if name == "events" and step else "available",
            "checked_at": raw.synced_at,
            "covered_through_at": None if name == "products" else raw.synced_at,
        }
        for name in (
            *("invoices", "subscriptions", "invoice_payments", "refunds", "credit_notes", "prices"),
            *("customers", "coupons", "products", "events"),
        )
    ]


def lives(raw: Raw, born: dt.datetime) -> None:
    """Subscriptions of the last sixty days."""
    chance = Random(7)
    number = 0
    while number < LIVES:
        told = life_before(born, f"sub_{number}", chance)
        if told.created > born - dt.timedelta(days=60):
            tell(raw, told)
            number += 1


def prices(raw: Raw, step: int) -> None:
    """Prices by unit, tier, lot and part of a cent; the second build finds a tier changed."""
    raw.add("products", id="prod_monthly", active=True, created_at=at(1, 1))
    raw.add("products", id="prod_gone", active=None, created_at=at(1, 1), is_deleted=True)
    raw.price("monthly", "usd", 10_000)
    raw.price("second", "usd", 5_000)
    raw.price("yen", "jpy", 10_000)
    raw.price("dinar", "kwd", 9_501)
    raw.price("yearly", "usd", 120_001, "year")
    raw.price("gross", "eur", 11_900, tax_behavior="inclusive")
    raw.price("fraction", "usd", "0.000000000001")
    raw.price("lots", "usd", 700, transform_divide_by=10, transform_round="up")
    raw.price("whole_lots", "usd", 700, transform_divide_by=10, transform_round="down")
    raw.price("metered", "usd", 5, usage_type="metered")
    raw.price("large", "kwd", 999_999_999_999)
    raw.add("price_currency_options", price_id="monthly", currency="eur", unit_amount=9_100)
    raw.add("price_currency_options", price_id="monthly", currency="jpy", unit_amount_decimal="1500.5")
    for mode in ("graduated", "volume"):
        raw.price(mode, "usd", None, billing_scheme="tiered", tiers_mode=mode)
        first: dict[str, Any] = {"unit_amount": 1_000, "flat_amount": 100 if step == 0 else None}
        raw.add("price_tiers", price_id=mode, currency="usd", position=0, up_to=5, **first)
        last = "750.5" if step == 0 else "750.333333333333"
        raw.add("price_tiers", price_id=mode, currency="usd", position=1, unit_amount_decimal=last)


def coupons(raw: Raw, step: int) -> None:
    """Coupons by percent and amount, of some products only, in other currencies; the second build finds one changed."""
    limited = {"percent_off": "50" if step == 0 else "33.335", "has_product_limits": True}
    raw.add("coupons", id="limited", duration="forever", created_at=at(1, 1), valid=True, **limited)
    product = "prod_second" if step == 0 else "prod_monthly"
    raw.add("coupon_products", coupon_id="limited", product_id=product)
    raw.add(
        "coupons",
        id="off",
        duration="forever",
        amount_off=3_001,
        currency="usd",
        created_at=at(1, 1),
        valid=None,
    )
    raw.add("coupon_currency_options", coupon_id="off", currency="kwd", amount_off=1_001)
    raw.add("coupon_currency_options", coupon_id="off", currency="eur", amount_off=None)
    discount: dict[str, Any] = {
        "id": "di_kind",
        "coupon_id": "kind",
        "percent_off": "12.5",
        "duration": "forever",
    }
    discount |= {"start_at": at(3, 5), "end_at": None if step == 0 else at(3, 29, 23)}
    facts = {f"discount_{name}": value for name, value in discount.items()}
    raw.add("customers", id="cus_kind", created_at=at(1, 1), currency="usd", delinquent=False, **facts)
    raw.add("customers", id="cus_gone", created_at=at(1, 1), is_deleted=step == 1)


def subscriptions(raw: Raw, step: int, first_look: dt.datetime) -> None:
    """Subscriptions of every price and with every discount, and what may befall them between two looks."""
    items = [{"price_id": "monthly", "item_id": "si_a"}, {"price_id": "second", "item_id": "si_b"}]
    sold: dict[str, tuple[str, list[dict[str, Any]], list[dict[str, Any]]]] = {
        "graduated": ("usd", [{"price_id": "graduated", "quantity": 8}], []),
        "volume": ("usd", [{"price_id": "volume", "quantity": 5 + step}], []),
        "fraction": ("usd", [{"price_id": "fraction", "quantity": 1_000_001}], []),
        "lots": ("usd", [{"price_id": "lots", "quantity": 21}], []),
        "whole_lots": ("usd", [{"price_id": "whole_lots", "quantity": 29}], []),
        "metered": ("usd", [{"price_id": "metered", "quantity": None}], []),
        "large": ("kwd", [{"price_id": "large", "quantity": 3 if step else 2}], []),
        "in_euro": ("eur", [{"price_id": "monthly"}], []),
        "in_yen": ("jpy", [{"price_id": "monthly", "quantity": 3}], []),
        "gross": (
            "eur",
            [{"price_id": "gross", "inclusive_tax_percentage": "19"}],
            [{"percent_off": "10"} | FOREVER],
        ),
        "limited": ("usd", items, [{"coupon_id": "limited"}]),
        "off": ("usd", items, [{"coupon_id": "off"}]),
        "off_in_dinar": ("kwd", [{"price_id": "dinar", "quantity": 7}], [{"coupon_id": "off"}]),
        "off_in_euro": ("eur", [{"price_id": "gross"}], [{"coupon_id": "off"}]),
        "on_item": ("usd", items, [{"percent_off": "33.333", "subscription_item_id": "si_b"} | FOREVER]),
        "too_much": ("usd", items, [{"amount_off": 20_000, "currency": "usd"} | FOREVER]),
        "stacked": (
            "usd",
            [{"price_id": "monthly"}],
            [
                {"amount_off": 500, "currency": "usd", "duration": "repeating", "end_at": at(3, 10)},
                {"percent_off": "10"} | FOREVER,
            ],
        ),
        "once": ("usd", [{"price_id": "monthly"}], [{"percent_off": "40", "duration": "once"}]),
        "paying": ("usd", [{"price_id": "monthly"}], []),
        "dinars": ("kwd", [{"price_id": "dinar"}], []),
    }
    for name, (currency, of_items, discounts) in sold.items():
        looks = [first_look] if step == 0 or name not in {"volume", "large"} else [first_look, raw.synced_at]
        for observed_at in looks:
            raw.subscription(
                name,
                of_items,
                created=at(2, 1),
                currency=currency,
                discounts=discounts,
                observed_at=observed_at,
                event_at=observed_at if len(looks) > 1 else None,
            )
    raw.subscription("of_kind", items[:1], created=at(2, 1), customer="cus_kind", observed_at=first_look)
    _changing(raw, step, first_look)
    _without_history(raw)


def _changing(raw: Raw, step: int, first_look: dt.datetime) -> None:
    """What is at risk at the first look, and at the second one something else."""
    ending = {"cancel_at_period_end": True, "canceled_at": at(3, 5), "cancel_at": at(4, 25)}
    looks: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "scheduled": (ending | {"current_period_end_at": at(4, 25)}, {}),
        "overdue": ({"status": "past_due"}, {"status": "unpaid"}),
        "paused": ({}, {"pause_behavior": "void"}),
        "leaving": ({}, {"status": "canceled", "ended_at": at(3, 29, 23), "canceled_at": at(3, 29, 23)}),
        "coming_back": ({"status": "unpaid"}, {"status": "active"}),
        "late": ({"status": "past_due"}, {"status": "past_due"}),
    }
    for name, (first, second) in looks.items():
        item = [{"price_id": "yearly" if name == "scheduled" else "yen" if name == "late" else "monthly"}]
        currency = "jpy" if name == "late" else "usd"
        raw.subscription(name, item, created=at(2, 1), currency=currency, observed_at=first_look, **first)
        if step == 1:
            raw.subscription(name, item, created=at(2, 1), currency=currency, **second)


def _without_history(raw: Raw) -> None:
    """A subscription of which only what it is now is known."""
    name = "untold"
    life = {"customer_id": "cus_untold", "status": "active", "currency": "usd", "cancel_at_period_end": False}
    raw.add("subscriptions", id=name, created_at=at(2, 3), start_at=at(2, 3), **life)
    item = {"price_id": "monthly", "currency": "usd", "quantity": 2, "created_at": at(2, 4)}
    raw.add("subscription_items", id="si_untold", subscription_id=name, **item)
    discount = {"discount_id": "di_untold", "amount_off": 1_234, "currency": "usd", "duration": "forever"}
    raw.add("subscription_discounts", subscription_id=name, position=0, start_at=at(2, 10), **discount)


def invoices(raw: Raw, step: int) -> None:
    """Invoices paid at once, in parts, outside Stripe, too much, late, not at all; void, given up, deleted, drafts."""
    for name, currency, price, amount in (
        ("paying", "usd", "monthly", 10_000),
        ("dinars", "kwd", "dinar", 9_501),
        ("late", "jpy", "yen", 10_000),
    ):
        for start in (at(2, 1), at(3, 1)):
            cycle = {"amount": amount, "price_id": price, "period": month_from(start)}
            raw.invoice(name, start, [cycle], currency=currency)
    once = {"amount": 10_000, "discount_amount": 4_000, "price_id": "monthly", "period": month_from(at(2, 1))}
    raw.invoice("once", at(2, 1), [once])
    line: dict[str, Any] = {
        "amount": 5_000,
        "line_type": "invoice_item",
        "subscription_id": None,
        "quantity": None,
    }
    in_parts = raw.invoice(None, at(3, 3), [line], id="in_parts", amount_paid=5_000, currency="jpy")
    _pay(raw, in_parts, "jpy", 2_000, at(3, 3))
    _pay(raw, in_parts, "jpy", None, at(3, 4), status="canceled")
    if step == 1:
        # Dated before the first build, and not known to it.
        _pay(raw, in_parts, "jpy", 3_000, at(3, 5))
    raw.invoice(None, at(3, 6), [line], id="outside", currency="kwd", paid_at=None)
    too_much = raw.invoice(None, at(3, 7), [line], id="too_much_paid", amount_paid=5_500, amount_overpaid=500)
    _pay(raw, too_much, "usd", 5_500, at(3, 8))
    given_up: dict[str, Any] = {
        "marked_uncollectible_at": at(3, 10),
        "amount_remaining": 5_000,
        "amount_paid": 0,
    }
    if step == 1:
        given_up |= {"amount_paid": 2_000, "amount_remaining": 3_000, "voided_at": at(3, 29)}
    left = raw.invoice(
        None, at(3, 9), [line], id="given_up", status="uncollectible", paid_at=None, **given_up
    )
    if step == 1:
        _pay(raw, left, "usd", 2_000, at(3, 30, 0))
    status: dict[str, Any] = (
        {"status": "open"} if step == 0 else {"status": "void", "voided_at": at(3, 30, 1)}
    )
    raw.invoice(None, at(3, 11), [line], id="voided", currency="kwd", **status)
    raw.invoice(None, at(3, 12), [line], id="draft", status="draft")
    raw.invoice(None, at(3, 13), [line], id="deleted", is_deleted=step == 1)
    raw.invoice(None, at(3, 14), [line | {"amount": -700}], id="negative")
    raw.invoice(None, at(3, 15), [line | {"amount": 2**53 + 1}], id="huge", currency="jpy")


def _pay(
    raw: Raw, invoice: str, currency: str, amount: int | None, when: dt.datetime, status: str = "paid"
) -> None:
    facts = {
        "amount_requested": amount or 1,
        "amount_paid": amount,
        "is_default": True,
        "payment_type": "charge",
    }
    paid_at = when if status == "paid" else None
    raw.add(
        "invoice_payments",
        invoice_id=invoice,
        status=status,
        currency=currency,
        created_at=when,
        paid_at=paid_at,
        **facts,
    )


def refunds(raw: Raw, step: int) -> None:
    """Refunds that came through, one that came late, and those that failed, dated in each of the three ways."""
    raw.add("refunds", id="re_known", status="succeeded", currency="usd", amount=1_001, created_at=at(3, 5))
    raw.add(
        "refunds", id="re_dinar", status="pending", currency="kwd", amount=2**40, created_at=at(3, 29, 23)
    )
    by_balance = {"failure_balance_transaction_id": "txn_back", "failure_reason": "declined"}
    raw.add(
        "refunds",
        id="re_failed",
        status="failed",
        currency="jpy",
        amount=300,
        created_at=at(3, 6),
        **by_balance,
    )
    back = {"amount": 300, "fee": 0, "net": 300, "source_id": "re_failed", "created_at": at(3, 9)}
    raw.add("balance_transactions", id="txn_back", type="refund_failure", currency="jpy", **back)
    status = "succeeded" if step == 0 else "failed"
    raw.add("refunds", id="re_turned", status=status, currency="usd", amount=77, created_at=at(3, 7))
    raw.add("refunds", id="re_canceled", status="canceled", currency="usd", amount=55, created_at=at(3, 8))
    told = {"object_type": "refund", "object_id": "re_turned", "changed_fields": "status"}
    if step == 1:
        raw.add("events", id="evt_failed", type="refund.failed", created_at=at(3, 30, 0), **told)
        raw.add("refunds", id="re_late", status="succeeded", currency="usd", amount=5, created_at=at(3, 2))
    else:
        raw.add("events", id="evt_updated", type="refund.updated", created_at=at(3, 7), **told)


def credit_notes(raw: Raw, step: int) -> None:
    """Credit notes against each thing they can be; the second build finds one declared void, and one more."""
    facts: dict[str, Any] = {"status": "issued", "type": "post_payment"}
    raw.add(
        "credit_notes",
        id="cn_invoice",
        invoice_id="voided",
        currency="kwd",
        amount=1_111,
        pre_payment_amount=1_111,
        created_at=at(3, 12),
        **facts | {"type": "pre_payment"},
    )
    voided = {"status": "void", "voided_at": at(3, 29, 22)} if step else {}
    raw.add(
        "credit_notes",
        id="cn_balance",
        invoice_id="in_parts",
        currency="jpy",
        amount=900,
        credited_to_balance_amount=500,
        out_of_band_amount=400,
        created_at=at(3, 16),
        **facts | voided,
    )
    raw.add(
        "credit_notes",
        id="cn_refund",
        invoice_id="too_much_paid",
        currency="usd",
        amount=1_001,
        refunded_amount=1_001,
        created_at=at(3, 17),
        **facts,
    )
    raw.add("credit_note_refunds", credit_note_id="cn_refund", refund_id="re_known", amount=1_001)
    if step == 1:
        late = {"amount": 2**40 + 1, "out_of_band_amount": 2**40 + 1, "created_at": at(2, 20)}
        raw.add("credit_notes", id="cn_late", invoice_id="huge", currency="jpy", **facts | late)
