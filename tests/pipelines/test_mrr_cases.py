"""The cases that every count of monthly recurring revenue must get right, as raw rows of Stripe."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from mrr_support import SYNCED_AT, Ledger, Raw, at, shown

# One build for all of them.
pytestmark = pytest.mark.xdist_group("mrr_cases")

NOW = SYNCED_AT


def month(start: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The monthly period that begins at an instant."""
    year, number = (start.year + 1, 1) if start.month == 12 else (start.year, start.month + 1)
    return start, start.replace(year=year, month=number)


def cases(raw: Raw) -> None:
    """Every row of the table, and what is like it."""
    raw.price("monthly", "usd", 10_000)
    for name, status in (("active", "active"), ("trialing", "trialing"), ("expired", "incomplete_expired")):
        trial: dict[str, Any] = (
            {"trial_start_at": at(11, 10), "trial_end_at": at(11, 24)} if name == "trialing" else {}
        )
        raw.subscription(name, [{"price_id": "monthly"}], created=at(11, 10), status=status, **trial)
    raw.invoice(
        "active", at(10, 25), [{"amount": 10_000, "price_id": "monthly", "period": month(at(10, 25))}]
    )

    raw.price("yearly", "usd", 120_000, "year")
    raw.subscription(
        "cancelled",
        [{"price_id": "yearly"}],
        created=at(1, 1),
        status="canceled",
        canceled_at=at(3, 10, 9),
        ended_at=at(3, 10, 9),
    )
    raw.invoice(
        "cancelled",
        at(1, 1),
        [{"amount": 120_000, "price_id": "yearly", "period": (at(1, 1), at(1, 1, year=2027))}],
    )

    raw.subscription("unpaid", [{"price_id": "monthly"}], created=at(8, 1), status="unpaid")
    raw.invoice("unpaid", at(8, 1), [{"amount": 10_000, "price_id": "monthly", "period": month(at(8, 1))}])
    raw.invoice(
        "unpaid",
        at(9, 1),
        [{"amount": 10_000, "price_id": "monthly", "period": month(at(9, 1))}],
        status="open",
    )

    raw.price("daily", "usd", 100, "day")
    raw.subscription("daily", [{"price_id": "daily"}], created=at(11, 1))
    raw.price("yen", "jpy", 10_000)
    raw.subscription("yen", [{"price_id": "yen"}], created=at(11, 1), currency="jpy")
    raw.price("dinar", "kwd", 9_500)
    raw.subscription("dinar", [{"price_id": "dinar"}], created=at(11, 1), currency="kwd")

    raw.price("hidden_tiers", "usd", None, billing_scheme="tiered", tiers_mode="graduated")
    raw.subscription("hidden_tiers", [{"price_id": "hidden_tiers", "quantity": 10}], created=at(11, 1))
    raw.invoice(
        "hidden_tiers",
        at(11, 1),
        [
            {"amount": 5_000, "quantity": 5, "price_id": "hidden_tiers", "period": month(at(11, 1))},
            {"amount": 3_000, "quantity": 5, "price_id": "hidden_tiers", "period": month(at(11, 1))},
        ],
    )
    raw.price("metered", "usd", 5, usage_type="metered")
    raw.subscription("metered", [{"price_id": "metered", "quantity": None}], created=at(11, 1))
    raw.invoice(
        "metered", at(11, 15), [{"amount": 700, "price_id": "metered", "period": (at(10, 15), at(11, 15))}]
    )

    raw.price("weekly", "usd", 1_000, "week")
    two_off = {"amount_off": 200, "currency": "usd", "duration": "forever"}
    raw.subscription("two_off", [{"price_id": "weekly"}], created=at(11, 1), discounts=[two_off])

    raw.price("quarterly", "usd", 60_000, "month", 3)
    raw.subscription("upgraded", [{"price_id": "quarterly", "quantity": 3}], created=at(10, 1))
    quarter = (at(10, 1), at(1, 1, year=2027))
    raw.invoice(
        "upgraded",
        at(10, 1),
        [{"amount": 120_000, "quantity": 2, "price_id": "quarterly", "period": quarter}],
    )
    change = {"price_id": "quarterly", "is_proration": True, "period": (at(10, 16), quarter[1])}
    raw.invoice(
        "upgraded",
        at(10, 16),
        [{"amount": -100_434, "quantity": 2, **change}, {"amount": 150_652, "quantity": 3, **change}],
    )

    stacked: list[dict[str, Any]] = [
        {
            "amount_off": 500,
            "currency": "usd",
            "duration": "repeating",
            "duration_in_months": 3,
            "end_at": at(10, 10),
        },
        {"percent_off": "10", "duration": "forever"},
    ]
    raw.subscription("stacked", [{"price_id": "monthly"}], created=at(7, 10), discounts=stacked)


def further_cases(raw: Raw) -> None:
    """What the definitions say besides the table."""
    # Tiers, fractions of a cent, lots and amounts of other currencies.
    for mode in ("graduated", "volume"):
        raw.price(mode, "usd", None, billing_scheme="tiered", tiers_mode=mode)
        raw.add(
            "price_tiers",
            price_id=mode,
            currency="usd",
            position=0,
            up_to=5,
            unit_amount=1_000,
            flat_amount=100,
        )
        raw.add(
            "price_tiers", price_id=mode, currency="usd", position=1, up_to=None, unit_amount_decimal="750.5"
        )
        raw.subscription(mode, [{"price_id": mode, "quantity": 8}], created=at(11, 1))
    raw.price("fraction", "usd", "0.05")
    raw.subscription("fraction", [{"price_id": "fraction", "quantity": 1_001}], created=at(11, 1))
    raw.price("lots", "usd", 700, transform_divide_by=10, transform_round="up")
    raw.subscription("lots", [{"price_id": "lots", "quantity": 21}], created=at(11, 1))
    raw.price("whole_lots", "usd", 700, transform_divide_by=10, transform_round="down")
    raw.subscription("whole_lots", [{"price_id": "whole_lots", "quantity": 29}], created=at(11, 1))
    raw.add(
        "price_currency_options",
        price_id="monthly",
        currency="eur",
        unit_amount=9_100,
        unit_amount_decimal="9100",
    )
    raw.subscription("in_euro", [{"price_id": "monthly"}], created=at(11, 1), currency="eur")

    # Two items share an amount off; a discount of the whole never gives money.
    raw.price("second", "usd", 5_000)
    items = [{"price_id": "monthly", "item_id": "si_a"}, {"price_id": "second", "item_id": "si_b"}]
    off = {"amount_off": 3_000, "currency": "usd", "duration": "forever"}
    raw.subscription("shared", items, created=at(11, 1), discounts=[off])
    too_much = {"amount_off": 20_000, "currency": "usd", "duration": "forever"}
    raw.subscription("too_much", items, created=at(11, 1), discounts=[too_much])
    other_currency = {"amount_off": 3_000, "currency": "eur", "duration": "forever"}
    raw.subscription(
        "other_currency", [{"price_id": "monthly"}], created=at(11, 1), discounts=[other_currency]
    )
    raw.add(
        "coupons",
        id="limited",
        duration="forever",
        percent_off="50",
        has_product_limits=True,
        created_at=at(1, 1),
    )
    raw.add("coupon_products", coupon_id="limited", product_id="prod_second")
    raw.subscription("limited", items, created=at(11, 1), discounts=[{"coupon_id": "limited"}])
    on_item = {"percent_off": "25", "duration": "forever", "subscription_item_id": "si_b"}
    raw.subscription("on_item", items, created=at(11, 1), discounts=[on_item])

    # A single discount, taken off by policy strict for its period only.
    once = {"percent_off": "40", "duration": "once"}
    raw.subscription("once", [{"price_id": "monthly"}], created=at(10, 1), discounts=[once])
    raw.invoice(
        "once",
        at(10, 1),
        [{"amount": 10_000, "discount_amount": 4_000, "price_id": "monthly", "period": month(at(10, 1))}],
    )
    raw.invoice("once", at(11, 1), [{"amount": 10_000, "price_id": "monthly", "period": month(at(11, 1))}])

    # A customer's discount is for subscriptions without one of their own.
    raw.add(
        "customers",
        id="cus_kind",
        created_at=at(1, 1),
        discount_id="di_kind",
        discount_coupon_id="kind",
        discount_percent_off="20",
        discount_duration="forever",
        discount_start_at=at(11, 5),
    )
    raw.subscription("of_kind", [{"price_id": "monthly"}], created=at(11, 1), customer="cus_kind")
    own = {"percent_off": "10", "duration": "forever"}
    raw.subscription(
        "own_of_kind", [{"price_id": "monthly"}], created=at(11, 1), customer="cus_kind", discounts=[own]
    )

    # Tax that is part of the price, after the discount.
    raw.price("gross", "eur", 11_900, tax_behavior="inclusive")
    item = {"price_id": "gross", "inclusive_tax_percentage": "19"}
    raw.subscription("gross", [item], created=at(11, 1), currency="eur", discounts=[own])
    raw.subscription("taxed_line", [{"price_id": "gross"}], created=at(11, 1), currency="eur")
    line = {
        "amount": 11_900,
        "tax": 1_900,
        "inclusive_tax": 1_900,
        "price_id": "gross",
        "period": month(at(11, 1)),
    }
    raw.invoice("taxed_line", at(11, 1), [line], currency="eur")

    # Begins: after a trial, at a resumption, at the first payment, never before it was made.
    trial: dict[str, Any] = {"trial_start_at": at(10, 1), "trial_end_at": at(10, 15)}
    raw.subscription("after_trial", [{"price_id": "monthly"}], created=at(10, 1), **trial)
    raw.invoice(
        "after_trial", at(10, 1), [{"amount": 0, "price_id": "monthly", "period": (at(10, 1), at(10, 15))}]
    )
    raw.invoice(
        "after_trial", at(10, 15), [{"amount": 10_000, "price_id": "monthly", "period": month(at(10, 15))}]
    )
    raw.subscription("resumed", [{"price_id": "monthly"}], created=at(10, 1), **trial)
    raw.invoice("resumed", at(11, 3), [{"amount": 10_000, "price_id": "monthly", "period": month(at(11, 3))}])
    raw.subscription(
        "left_in_trial",
        [{"price_id": "monthly"}],
        created=at(10, 1),
        status="canceled",
        ended_at=at(10, 9),
        canceled_at=at(10, 9),
        **trial,
    )
    raw.subscription("paused", [{"price_id": "monthly"}], created=at(10, 1), status="paused", **trial)
    raw.subscription("paid_later", [{"price_id": "monthly"}], created=at(11, 1))
    raw.invoice(
        "paid_later",
        at(11, 1),
        [{"amount": 10_000, "price_id": "monthly", "period": month(at(11, 1))}],
        reason="subscription_create",
        paid_at=at(11, 2, 8),
    )
    raw.subscription(
        "never_paid", [{"price_id": "monthly"}], created=at(11, 1), status="canceled", ended_at=at(11, 9)
    )
    raw.invoice(
        "never_paid",
        at(11, 1),
        [{"amount": 10_000, "price_id": "monthly", "period": month(at(11, 1))}],
        reason="subscription_create",
        status="void",
        voided_at=at(11, 9),
    )
    raw.subscription("backdated", [{"price_id": "monthly"}], created=at(11, 10), start_at=at(9, 1))
    raw.invoice(
        "backdated",
        at(11, 10),
        [
            {"amount": 23_000, "is_proration": True, "price_id": "monthly", "period": (at(9, 1), at(11, 10))},
            {"amount": 10_000, "price_id": "monthly", "period": month(at(11, 10))},
        ],
    )

    # Ends: scheduled, withdrawn, seen to be unpaid, paused.
    raw.subscription(
        "scheduled",
        [{"price_id": "monthly"}],
        created=at(9, 25),
        cancel_at_period_end=True,
        canceled_at=at(11, 5),
        cancel_at=at(11, 25),
        current_period_end_at=at(11, 25),
    )
    raw.subscription(
        "withdrawn",
        [{"price_id": "monthly"}],
        created=at(9, 25),
        cancel_at_period_end=True,
        canceled_at=at(11, 5),
        observed_at=at(11, 6),
    )
    raw.subscription(
        "withdrawn",
        [{"price_id": "monthly"}],
        created=at(9, 25),
        observed_at=at(11, 9, 12),
        event_at=at(11, 9),
    )
    raw.subscription(
        "turned_unpaid", [{"price_id": "monthly"}], created=at(9, 1), status="past_due", observed_at=at(11, 2)
    )
    raw.subscription(
        "turned_unpaid",
        [{"price_id": "monthly"}],
        created=at(9, 1),
        status="unpaid",
        observed_at=at(11, 9, 12),
        event_at=at(11, 8),
    )
    raw.subscription(
        "seen_unpaid", [{"price_id": "monthly"}], created=at(9, 1), status="past_due", observed_at=at(11, 2)
    )
    raw.subscription(
        "seen_unpaid", [{"price_id": "monthly"}], created=at(9, 1), status="unpaid", observed_at=at(11, 9, 12)
    )
    raw.subscription(
        "collection_paused",
        [{"price_id": "monthly"}],
        created=at(9, 1),
        pause_behavior="void",
        observed_at=at(11, 3),
    )
    raw.subscription(
        "ended_at_midnight",
        [{"price_id": "monthly"}],
        created=at(9, 1),
        status="canceled",
        ended_at=at(11, 1),
        canceled_at=at(10, 5),
    )

    # An upgrade without a trace on an invoice, dated by its event, and one by the sync that saw it.
    raw.subscription("told", [{"price_id": "monthly"}], created=at(9, 1), observed_at=at(11, 2))
    raw.subscription(
        "told",
        [{"price_id": "monthly", "quantity": 2}],
        created=at(9, 1),
        observed_at=at(11, 9, 12),
        event_at=at(11, 8),
    )
    # An item that was taken off, and one that came.
    raw.subscription(
        "items", [{"price_id": "monthly", "item_id": "si_old"}], created=at(9, 1), observed_at=at(11, 2)
    )
    raw.subscription(
        "items", [{"price_id": "second", "item_id": "si_new"}], created=at(9, 1), observed_at=at(11, 9)
    )

    # Invoices that bill something else than a cycle of it: a draft changed by hand, a part of a cent rounded.
    raw.subscription("edited", [{"price_id": "monthly"}], created=at(10, 1))
    raw.invoice("edited", at(10, 1), [{"amount": 9_000, "price_id": "monthly", "period": month(at(10, 1))}])
    raw.invoice("edited", at(11, 1), [{"amount": 10_000, "price_id": "monthly", "period": month(at(11, 1))}])
    rounded = {"percent_off": "33.335", "duration": "forever"}
    raw.subscription("rounded", [{"price_id": "monthly"}], created=at(9, 1), discounts=[rounded])
    bill = {"amount": 10_000, "discount_amount": 3_334, "price_id": "monthly"}
    raw.invoice("rounded", at(9, 1), [{**bill, "period": month(at(9, 1))}])
    change = {"is_proration": True, "price_id": "monthly", "period": (at(9, 20), at(10, 1))}
    raw.invoice(
        "rounded",
        at(10, 1),
        [
            {**bill, "period": month(at(10, 1))},
            {"amount": -2_000, **change},
            {"amount": 2_500, "quantity": 1, **change},
        ],
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    raw = Raw(tmp_path_factory.mktemp("cases"))
    cases(raw)
    further_cases(raw)
    raw.build()
    return raw


@pytest.fixture(scope="module")
def ledger(built: Raw) -> Ledger:
    return built.mrr()


@pytest.mark.parametrize(
    ("subscription", "instant", "expected"),
    [
        ("active", NOW, "100.00"),
        ("cancelled", at(3, 9, 23, 59), "100.00"),
        ("cancelled", at(3, 10, 23, 59), "0.00"),
        ("trialing", NOW, "0.00"),
        ("expired", NOW, "0.00"),
        ("unpaid", at(8, 31, 12), "100.00"),
        ("unpaid", at(9, 1), "0.00"),
        ("unpaid", NOW, "0.00"),
        ("daily", NOW, "30.42"),
        ("yen", NOW, "10000.00"),
        ("dinar", NOW, "9.50"),
        ("hidden_tiers", NOW, "80.00"),
        ("metered", NOW, "0.00"),
        ("two_off", NOW, "34.67"),
        ("upgraded", at(10, 15, 23, 59), "400.00"),
        ("upgraded", at(10, 16), "600.00"),
        ("stacked", at(7, 10), "85.00"),
        ("stacked", at(10, 9, 23, 59), "85.00"),
        ("stacked", at(10, 10), "90.00"),
        ("graduated", NOW, "73.52"),
        ("volume", NOW, "60.04"),
        ("fraction", NOW, "0.50"),
        ("lots", NOW, "21.00"),
        ("whole_lots", NOW, "14.00"),
        ("in_euro", NOW, "91.00"),
        ("shared", NOW, "120.00"),
        ("too_much", NOW, "0.00"),
        ("other_currency", NOW, "100.00"),
        ("limited", NOW, "125.00"),
        ("on_item", NOW, "137.50"),
        ("once", at(10, 20), "100.00"),
        ("of_kind", at(11, 4), "100.00"),
        ("of_kind", NOW, "80.00"),
        ("own_of_kind", NOW, "90.00"),
        ("gross", NOW, "90.00"),
        ("taxed_line", NOW, "100.00"),
        ("after_trial", at(10, 14, 23), "0.00"),
        ("after_trial", at(10, 15), "100.00"),
        ("resumed", at(11, 2), "0.00"),
        ("resumed", at(11, 3), "100.00"),
        ("left_in_trial", at(10, 12), "0.00"),
        ("left_in_trial", NOW, "0.00"),
        ("paused", NOW, "0.00"),
        ("paid_later", at(11, 2, 7), "0.00"),
        ("paid_later", at(11, 2, 8), "100.00"),
        ("never_paid", at(11, 5), "0.00"),
        ("backdated", at(11, 9, 23), "0.00"),
        ("backdated", at(11, 10), "100.00"),
        ("scheduled", NOW, "100.00"),
        ("withdrawn", at(11, 7), "100.00"),
        ("turned_unpaid", at(11, 7, 23), "100.00"),
        ("turned_unpaid", at(11, 8), "0.00"),
        ("seen_unpaid", at(11, 9, 11), "100.00"),
        ("seen_unpaid", at(11, 9, 12), "0.00"),
        ("collection_paused", NOW, "100.00"),
        ("ended_at_midnight", at(10, 31, 23, 59), "100.00"),
        ("ended_at_midnight", at(11, 1), "0.00"),
        ("told", at(11, 7, 23), "100.00"),
        ("told", at(11, 8), "200.00"),
        ("items", at(11, 8), "100.00"),
        ("items", NOW, "50.00"),
    ],
)
def test_a_subscription_counts_what_it_is_a_month(
    ledger: Ledger, subscription: str, instant: dt.datetime, expected: str
) -> None:
    assert shown(ledger.at(subscription, instant)) == expected


def test_fractions_of_a_minor_unit_are_kept(ledger: Ledger) -> None:
    assert ledger.at("two_off", NOW) == Decimal("34.666666666667")
    assert ledger.at("fraction", NOW) == Decimal("0.5005")
    assert ledger.at("dinar", NOW) == Decimal("9.5")


@pytest.mark.parametrize(
    ("subscription", "instant", "expected"),
    [
        ("once", at(10, 20), "60.00"),
        ("once", NOW, "100.00"),
        ("scheduled", at(11, 4, 23), "100.00"),
        ("scheduled", NOW, "0.00"),
        ("withdrawn", at(11, 7), "0.00"),
        ("withdrawn", at(11, 9), "100.00"),
        ("turned_unpaid", at(11, 5), "0.00"),
        ("collection_paused", at(11, 2), "100.00"),
        ("collection_paused", NOW, "0.00"),
        ("ended_at_midnight", at(10, 5), "0.00"),
    ],
)
def test_policy_strict_counts_what_is_sure(
    built: Raw, subscription: str, instant: dt.datetime, expected: str
) -> None:
    assert shown(built.mrr("strict").at(subscription, instant)) == expected


def test_what_was_before_the_first_look_is_said_to_be_reconstructed(built: Raw) -> None:
    for name, start, end, _, provenance in built.mrr().stretches:
        if name == "active":
            expected = "observed" if start >= NOW else "reconstructed"
            assert provenance == expected
            assert end is None or end <= NOW or provenance == "observed"


def test_what_is_going_to_leave_or_may_is_listed(built: Raw) -> None:
    rows = built.query(
        "select subscription_id, reason, leaves_date, mrr_amount from kpi_internal.mrr_at_risk"
    )
    found = {(name, reason): (day, amount) for name, reason, day, amount in rows}
    assert found["scheduled", "scheduled_churn"] == (dt.date(2026, 11, 25), Decimal(100))
    assert ("collection_paused", "collection_paused") in found
    assert ("withdrawn", "scheduled_churn") not in found


def test_the_bridge_names_the_setting_that_makes_the_difference(built: Raw) -> None:
    rows = built.query(
        "select customer_key, reason, difference_amount from kpi_internal.mrr_policy_bridge order by 1, 2"
    )
    found = {(customer, reason): amount for customer, reason, amount in rows}
    assert found["cus_scheduled", "churn_at"] == Decimal(-100)
    assert found["cus_collection_paused", "collection_paused"] == Decimal(-100)
    assert not [customer for customer, _ in found if customer == "cus_active"]


@pytest.mark.parametrize(
    ("subscription", "month_number", "expected"),
    [
        ("upgraded", 10, [("proration", 0, "502.18", "502.18")]),
        ("once", 10, [("single_discount", 100, "60", "-40")]),
        ("unpaid", 9, [("not_counted", 0, "100", "100")]),
        ("edited", 10, [("unexplained", 100, "90", "-10")]),
        (
            "rounded",
            10,
            [("proration", "66.665", "71.66", "5"), ("rounding", "66.665", "71.66", "-0.005")],
        ),
    ],
)
def test_an_invoice_that_differs_from_mrr_is_shown_with_the_reasons(
    built: Raw, subscription: str, month_number: int, expected: list[tuple[str, Any, str, str]]
) -> None:
    rows = built.query(
        "select reason, cycle_amount, invoiced_amount, difference_amount from kpi_internal.mrr_invoice_bridge"
        f" where subscription_id = '{subscription}' and extract(month from invoice_date) = {month_number}"
        " order by 1"
    )
    assert rows == [(reason, *map(Decimal, amounts)) for reason, *amounts in expected]


def test_invoices_that_bill_a_cycle_as_mrr_counts_it_are_not_shown(built: Raw) -> None:
    rows = built.query("select distinct subscription_id from kpi_internal.mrr_invoice_bridge")
    billed = {
        row["subscription_id"] for row in built.rows["invoices"] if row["status"] not in {"draft", "void"}
    }
    # The one that was backdated bills the time before it was made.
    assert {name for (name,) in rows} == {"upgraded", "once", "unpaid", "edited", "rounded", "backdated"}
    assert {"active", "after_trial", "paid_later", "taxed_line", "hidden_tiers", "resumed"} <= billed
