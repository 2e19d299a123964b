"""What changes in Stripe between two syncs arrives with the next one; nothing new costs next to nothing."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stripe_support import Synced, at, company, embedded_warehouse

from pipelines.demo.stripe_account import Item, Line, StripeAccount
from pipelines.demo.stripe_server import StripeServer


@pytest.fixture
def synced(tmp_path: Path) -> Iterator[Synced]:
    with StripeServer(StripeAccount(now=at(20))) as stripe:
        yield Synced(stripe, embedded_warehouse(tmp_path))


def asked(synced: Synced) -> Counter[str]:
    """How often each path was asked for since the last look."""
    paths = Counter(request.path for request in synced.stripe.requests)
    synced.stripe.requests.clear()
    return paths


def by_id(synced: Synced, table: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in synced.rows(table)}


@pytest.mark.parametrize("invoices", [1, 250])
def test_a_sync_with_nothing_new_costs_four_requests_whatever_the_account_holds(
    synced: Synced, invoices: int
) -> None:
    account = synced.stripe.account
    company(account)
    customer = account.add_customer()
    for _ in range(invoices):
        account.add_invoice(customer, "eur", [Line(100)], status="open")
    synced.sync()
    before = synced.everything()
    # Events of the last hour are looked through again, until none can show up late any more.
    synced.later = dt.timedelta(hours=2)
    synced.sync()
    asked(synced)
    for _ in range(2):
        assert synced.sync().rows == {}
        assert asked(synced) == {"/v1/events": 3, "/v1/balance_transactions": 1}
    assert synced.everything() == before


def test_only_what_events_point_to_is_fetched(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    asked(synced)
    account.advance(at(20, 15))
    account.pay(made["open"])
    account.cancel(made["subscription"])
    synced.sync()

    assert asked(synced) == {
        "/v1/events": 3,
        f"/v1/invoices/{made['open']}": 1,
        "/v1/invoice_payments": 1,
        f"/v1/subscriptions/{made['subscription']}": 1,
        "/v1/balance_transactions": 1,
    }
    assert by_id(synced, "invoices")[made["open"]]["paid_at"] == at(20, 15)
    [payment] = [row for row in synced.rows("invoice_payments") if row["invoice_id"] == made["open"]]
    assert (payment["status"], payment["paid_at"]) == ("paid", at(20, 15))


def test_an_event_that_shows_up_late_is_followed_all_the_same(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    account.advance(at(20, 14))
    account.add_customer()
    synced.sync()
    # It happened before the newest event of the last sync, and was not shown then.
    account.advance(at(20, 14) - dt.timedelta(minutes=50))
    account.void(made["open"])
    account.advance(at(20, 15))
    synced.sync()
    assert by_id(synced, "invoices")[made["open"]]["status"] == "void"


def test_deleted_objects_keep_their_rows_and_say_so(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    coupon = account.add_coupon(percent_off=12.5)
    synced.sync()
    before = by_id(synced, "invoices")
    account.delete("customers", made["customer"])
    account.delete("invoices", made["draft"])
    account.delete("coupons", coupon)
    synced.sync()

    assert [row["is_deleted"] for row in synced.rows("customers")] == [True]
    assert by_id(synced, "invoices") == before | {made["draft"]: before[made["draft"]] | {"is_deleted": True}}
    # What cannot be asked for any more is kept; but a draft that is gone bills nothing.
    assert {row["invoice_id"] for row in synced.rows("invoice_lines")} == before.keys() - {made["draft"]}
    [kept] = synced.rows("coupons")
    assert (kept["percent_off"], kept["is_deleted"]) == ("12.5", True)


def test_a_sweep_finds_what_no_event_told_and_reports_each_field(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    account.change("invoices", made["open"], silently=True, status="uncollectible", attempt_count=3)
    account.delete("invoices", made["draft"], silently=True)
    new = account.add_customer()
    account.delete("customers", new, silently=True)
    synced.sync()
    lines = [row["id"] for row in synced.rows("invoice_lines") if row["invoice_id"] == made["draft"]]
    assert by_id(synced, "invoices")[made["open"]]["status"] == "open"

    report = synced.sync(sweep=True)
    assert by_id(synced, "invoices")[made["open"]]["status"] == "uncollectible"
    assert by_id(synced, "invoices")[made["draft"]]["is_deleted"]
    found = {
        (row["object_id"], row["field"]): (row["had"], row["found"]) for row in synced.rows("differences")
    }
    assert found == {
        (made["open"], "status"): ("open", "uncollectible"),
        (made["draft"], "is_deleted"): ("False", "True"),
        **dict.fromkeys(((line, "row") for line in lines), ("is not there any more", None)),
    }
    assert f"stripe: invoices {made['open']}: status was open, is uncollectible" in report.notes
    assert any("4 differences" in note for note in report.notes)
    assert any("0 differences" in note for note in synced.sync(sweep=True).notes)


def test_a_sweep_is_due_every_week(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    account.change("invoices", made["open"], silently=True, status="uncollectible")
    synced.later = dt.timedelta(days=6)
    synced.sync()
    assert by_id(synced, "invoices")[made["open"]]["status"] == "open"
    synced.later = dt.timedelta(days=8)
    synced.sync()
    assert by_id(synced, "invoices")[made["open"]]["status"] == "uncollectible"


def test_after_25_days_without_a_sync_every_list_is_read_again(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    account.pay(made["open"])
    account.advance(at(20) + dt.timedelta(days=31))
    synced.later = dt.timedelta(days=31)
    assert account.listed("events") == []
    synced.sync()
    assert by_id(synced, "invoices")[made["open"]]["status"] == "paid"
    asked(synced)
    synced.sync()
    assert sum(asked(synced).values()) == 4


def test_a_key_that_may_not_read_events_misses_nothing(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    key = synced.stripe.restricted_key("invoices", "customers")
    report = synced.sync(key)
    assert "stripe: the key may not read events; the rest was loaded." in report.notes
    account.pay(made["open"])
    account.delete("invoices", made["draft"])
    account.delete("customers", made["customer"])
    synced.sync(key)
    assert by_id(synced, "invoices")[made["open"]]["status"] == "paid"
    assert by_id(synced, "invoices")[made["draft"]]["is_deleted"]
    assert [row["is_deleted"] for row in synced.rows("customers")] == [True]


def test_a_field_that_the_key_may_not_expand_is_left_out_and_the_rest_is_loaded(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    account.add_discount(account.add_coupon(percent_off=10), subscription=made["subscription"])
    readable = {row.name for row in tables_of_objects()} - {"coupons"}
    report = synced.sync(synced.stripe.restricted_key(*readable, "events"))

    states = {row["resource"]: (row["state"], row["detail"]) for row in synced.rows("resources")}
    assert states["subscriptions"] == ("partial", "discounts.source.coupon")
    assert states["coupons"] == ("unavailable", None)
    assert states["invoices"] == ("available", None)
    [discount] = synced.rows("subscription_discounts")
    assert (discount["coupon_id"] is not None, discount["percent_off"]) == (True, None)
    assert (
        "stripe: the key may not read discounts.source.coupon of subscriptions; the rest of it was loaded."
        in report.notes
    )


def tables_of_objects() -> list[Any]:
    from pipelines.sources.stripe.resources import RESOURCES

    return list(RESOURCES.values())


def test_discounts_of_customers_subscriptions_and_items_arrive_and_go(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    half = account.add_coupon(percent_off=50, duration="repeating", months=3)
    two = account.add_coupon(amount_off=200, currency="usd", products=["prod_1"])
    item = (account.get("subscriptions", made["subscription"]) or {})["items"][0]["id"]
    account.add_discount(half, subscription=made["subscription"], start=at(2), end=at(2, month=12))
    account.add_discount(two, subscription=made["subscription"], item=item)
    account.add_discount(two, customer=made["customer"])
    synced.sync()

    rows = synced.rows("subscription_discounts")
    assert {(row["subscription_item_id"], row["coupon_id"], row["percent_off"]) for row in rows} == {
        (None, half, "50"),
        (item, two, None),
    }
    [whole] = [row for row in rows if row["subscription_item_id"] is None]
    assert (whole["end_at"], whole["duration"], whole["duration_in_months"]) == (
        at(2, month=12),
        "repeating",
        3,
    )
    assert [row["discount_amount_off"] for row in synced.rows("customers")] == [200]
    assert [(row["coupon_id"], row["product_id"]) for row in synced.rows("coupon_products")] == [
        (two, "prod_1")
    ]

    account.advance(at(21))
    account.end_discounts(subscription=made["subscription"])
    account.end_discounts(customer=made["customer"])
    synced.sync()
    assert synced.rows("subscription_discounts") == []
    assert [row["discount_id"] for row in synced.rows("customers")] == [None]


def test_prices_bring_their_tiers_currencies_and_rounding_and_inactive_ones_are_read_too(
    synced: Synced,
) -> None:
    account = synced.stripe.account
    product = account.add_product("Seats")
    tiers: list[dict[str, Any]] = [
        {"up_to": 5, "unit_amount": 1000},
        {"unit_amount_decimal": "12.5", "flat_amount": 300},
    ]
    tiered = account.add_price(product, "usd", None, tiers=tiers, tiers_mode="volume")
    packed = account.add_price(
        product,
        "usd",
        700,
        transform_quantity={"divide_by": 10, "round": "up"},
        currency_options={"eur": {"unit_amount": 650}},
        active=False,
    )
    synced.sync()

    prices = by_id(synced, "prices")
    assert (prices[tiered]["billing_scheme"], prices[tiered]["tiers_mode"]) == ("tiered", "volume")
    assert (prices[packed]["transform_divide_by"], prices[packed]["active"]) == (10, False)
    rows = synced.rows("price_tiers")
    assert [
        (row["up_to"], row["unit_amount"], row["unit_amount_decimal"], row["flat_amount"]) for row in rows
    ] == [
        (5, 1000, "1000", None),
        (None, None, "12.5", 300),
    ]
    assert [(row["currency"], row["unit_amount"]) for row in synced.rows("price_currency_options")] == [
        ("eur", 650)
    ]


def test_a_price_that_is_in_no_list_is_fetched_for_the_subscription_that_names_it(synced: Synced) -> None:
    account = synced.stripe.account
    price = account.add_price(account.add_product("Seats"), "usd", 500)
    account.add_subscription(account.add_customer(), [Item(price)])
    # Prices made for one subscription are shown when asked for by id alone.
    account._order["prices"].clear()
    synced.sync()
    assert [row["id"] for row in synced.rows("prices")] == [price]


def test_money_that_is_paid_refunded_and_credited_arrives_with_where_it_went(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    account.advance(at(21))
    payment = account.pay(made["open"], amount=500)
    account.pay(made["open"])
    assert payment is not None
    refund = account.add_refund(payment, 200)
    note = account.add_credit_note(made["open"], 300, refund=refund, refunded=200)
    synced.sync()
    account.advance(at(22))
    account.fail_refund(refund)
    synced.sync()

    payments = [row for row in synced.rows("invoice_payments") if row["invoice_id"] == made["open"]]
    assert sorted(row["amount_paid"] for row in payments) == [333, 500]
    [row] = synced.rows("refunds")
    assert (row["status"], row["amount"]) == ("failed", 200)
    failures = by_id(synced, "balance_transactions")[row["failure_balance_transaction_id"]]
    assert (failures["type"], failures["amount"], failures["created_at"]) == ("refund_failure", 200, at(22))
    [credit] = synced.rows("credit_notes")
    assert (credit["id"], credit["refunded_amount"], credit["credited_to_balance_amount"]) == (note, 200, 100)
    assert [(row["refund_id"], row["amount"]) for row in synced.rows("credit_note_refunds")] == [
        (refund, 200)
    ]


def test_each_state_of_a_subscription_is_kept_with_the_event_that_told_of_it(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    name = made["subscription"]
    for day, status in ((21, "past_due"), (22, "unpaid"), (23, "past_due")):
        account.advance(at(day))
        account.change("subscriptions", name, status=status)
        account.advance(at(day, 13))
        account.change("subscriptions", name, description="nothing of revenue")
        synced.sync()
        synced.sync()

    versions = sorted(synced.rows("subscription_versions"), key=lambda row: row["observed_at"])
    assert [(row["status"], row["event_at"]) for row in versions] == [
        ("active", None),
        ("past_due", at(21)),
        ("unpaid", at(22)),
        ("past_due", at(23)),
    ]
    items = Counter(row["version_id"] for row in synced.rows("subscription_version_items"))
    assert items == {row["id"]: 2 for row in versions}
