"""The loopback Stripe against what Stripe documents and what its SDK expects."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import stripe as sdk
from stripe_support import OLD_VERSION, at, company

from pipelines.demo.stripe_account import Item, Line, StripeAccount
from pipelines.demo.stripe_server import Fault, StripeServer


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    with StripeServer(StripeAccount(now=at(20))) as server:
        yield server


def client(stripe: StripeServer, key: str | None = None, version: str | None = None) -> sdk.StripeClient:
    return sdk.StripeClient(
        key or stripe.api_key,
        base_addresses={"api": stripe.base_url},
        stripe_version=version,
        max_network_retries=0,
    )


def listed(
    stripe: StripeServer, resource: str, version: str | None = None, **query: Any
) -> list[dict[str, Any]]:
    answer: Any = client(stripe, version=version).raw_request("get", f"/v1/{resource}", **query).data
    return list(answer["data"])


def test_no_field_is_made_up(stripe: StripeServer) -> None:
    account = stripe.account
    made = company(account)
    coupon = account.add_coupon(amount_off=100, currency="usd", products=["prod_1"])
    account.add_discount(coupon, subscription=made["subscription"])
    account.add_discount(coupon, customer=made["customer"])
    tiers = [{"up_to": 1, "unit_amount": 5}, {"unit_amount": 3}]
    account.add_price("prod_1", "usd", None, tiers=tiers, currency_options={"eur": {"unit_amount": 4}})
    payment = account.pay(made["open"])
    assert payment is not None
    refund = account.add_refund(payment, 100)
    account.fail_refund(refund)
    account.add_credit_note(made["open"], 100, refund=refund, refunded=100)
    classes: dict[str, type] = {
        "coupons": sdk.Coupon,
        "invoice_payments": sdk.InvoicePayment,
        "credit_notes": sdk.CreditNote,
        "refunds": sdk.Refund,
        "balance_transactions": sdk.BalanceTransaction,
        "events": sdk.Event,
        "invoices": sdk.Invoice,
        "customers": sdk.Customer,
        "subscriptions": sdk.Subscription,
        "prices": sdk.Price,
        "products": sdk.Product,
    }
    expand: dict[str, Any] = {
        "coupons": ["data.applies_to", "data.currency_options"],
        "prices": ["data.tiers", "data.currency_options"],
    }
    for resource, of_sdk in classes.items():
        rows = listed(stripe, resource, limit=100, expand=expand.get(resource, []))
        assert rows, resource
        for row in rows:
            assert set(row) - set(of_sdk.__annotations__) == set(), resource
    [subscription] = listed(stripe, "subscriptions", expand=["data.discounts.source.coupon"])
    [discount] = subscription["discounts"]
    assert set(discount) - set(sdk.Discount.__annotations__) == set()
    assert discount["source"]["coupon"]["object"] == "coupon"
    lines = [line for invoice in listed(stripe, "invoices") for line in invoice["lines"]["data"]]
    assert {name for line in lines for name in line} - set(sdk.InvoiceLineItem.__annotations__) == set()
    items = [
        item for subscription in listed(stripe, "subscriptions") for item in subscription["items"]["data"]
    ]
    assert {name for item in items for name in item} - set(sdk.SubscriptionItem.__annotations__) == set()


def test_the_sdk_itself_pages_through_a_list(stripe: StripeServer) -> None:
    customer = stripe.account.add_customer()
    made = [stripe.account.add_invoice(customer, "eur", [Line(1)], created=at(1)) for _ in range(23)]
    invoices = client(stripe).v1.invoices.list({"limit": 5}).auto_paging_iter()
    assert [invoice.id for invoice in invoices] == made[::-1]


def test_lists_give_ten_and_at_most_a_hundred_newest_first(stripe: StripeServer) -> None:
    made = [stripe.account.add_customer(created=at(1) + dt.timedelta(hours=hour)) for hour in range(120)]
    assert [row["id"] for row in listed(stripe, "customers")] == made[::-1][:10]
    assert len(listed(stripe, "customers", limit=100)) == 100
    with pytest.raises(sdk.InvalidRequestError):
        listed(stripe, "customers", limit=101)
    before = [row["id"] for row in listed(stripe, "customers", ending_before=made[0], limit=3)]
    assert before == [made[3], made[2], made[1]]
    window = listed(
        stripe, "customers", limit=100, created={"gte": int(at(2).timestamp()), "lt": int(at(3).timestamp())}
    )
    assert len(window) == 24


def test_a_cursor_that_is_gone_is_a_bad_request_about_it(stripe: StripeServer) -> None:
    customer = stripe.account.add_customer()
    stripe.account.delete("customers", customer)
    with pytest.raises(sdk.InvalidRequestError) as caught:
        listed(stripe, "customers", starting_after=customer)
    assert (caught.value.http_status, caught.value.param) == (400, "starting_after")


def test_cancelled_subscriptions_are_left_out_unless_asked_for(stripe: StripeServer) -> None:
    account = stripe.account
    price = account.add_price(account.add_product("Seats"), "eur", 100)
    subscription = account.add_subscription(account.add_customer(), [Item(price)])
    account.cancel(subscription)
    assert listed(stripe, "subscriptions") == []
    assert len(listed(stripe, "subscriptions", status="all")) == 1
    assert len(listed(stripe, "subscriptions", status="canceled")) == 1


def test_deleted_objects_are_in_no_list(stripe: StripeServer) -> None:
    made = company(stripe.account)
    stripe.account.delete("customers", made["customer"])
    stripe.account.delete("invoices", made["draft"])
    assert listed(stripe, "customers") == []
    assert client(stripe).v1.customers.retrieve(made["customer"]).deleted is True
    with pytest.raises(sdk.InvalidRequestError) as caught:
        client(stripe).v1.invoices.retrieve(made["draft"])
    assert caught.value.http_status == 404


def test_a_version_before_basil_shows_the_shapes_of_its_time(stripe: StripeServer) -> None:
    made = company(stripe.account)
    invoice = next(row for row in listed(stripe, "invoices", OLD_VERSION) if row["id"] == made["paid"])
    assert invoice["subscription"] == made["subscription"]
    assert (invoice["paid"], invoice["tax"]) == (True, 475)
    assert not {"parent", "total_taxes", "amount_overpaid"} & set(invoice)
    line = invoice["lines"]["data"][1]
    assert (line["type"], line["proration"], line["price"]["object"]) == ("invoiceitem", True, "price")
    subscription = listed(stripe, "subscriptions", OLD_VERSION)[0]
    assert subscription["current_period_start"] == int(at(2).timestamp())
    assert "current_period_start" not in subscription["items"]["data"][0]


def test_keys_are_checked_and_never_remembered(stripe: StripeServer) -> None:
    with pytest.raises(sdk.AuthenticationError) as caught:
        client(stripe, "sk_test_unknown0123456789").v1.invoices.list()
    assert "unknown0123456789" not in str(caught.value)
    limited = client(stripe, stripe.restricted_key("invoices"))
    assert limited.v1.invoices.list().data == []
    with pytest.raises(sdk.PermissionError):
        limited.v1.customers.list()
    assert "sk_test" not in str(stripe.requests)
    assert "rk_test" not in str(stripe.requests)


def test_a_fault_befalls_as_many_requests_as_it_says(stripe: StripeServer) -> None:
    stripe.faults.append(Fault(path="/customers", status=429, retry_after=3, times=2))
    assert listed(stripe, "invoices") == []
    for _ in range(2):
        with pytest.raises(sdk.RateLimitError) as caught:
            listed(stripe, "customers")
        assert (caught.value.headers or {})["Retry-After"] == "3"
    assert listed(stripe, "customers") == []
