"""The made-up company's customers: their script, and the Stripe objects made of it."""

import datetime as dt
from collections import Counter

import pytest

from pipelines.demo.billing import stripe_account
from pipelines.demo.billing_script import lives, months_later
from pipelines.demo.calendar import Company, as_datetime

TODAY = dt.date(2026, 11, 21)


def test_about_150_customers_pay_in_four_currencies() -> None:
    account = stripe_account(Company(TODAY))
    statuses = Counter(row["status"] for row in account.listed("subscriptions"))
    assert 130 <= statuses["active"] + statuses["past_due"] <= 170
    assert {"active", "past_due", "trialing", "canceled", "unpaid"} <= set(statuses)
    assert {row["currency"] for row in account.listed("invoices")} == {"eur", "usd", "jpy", "kwd"}
    intervals = {row["items"][0]["price"]["recurring"]["interval"] for row in account.listed("subscriptions")}
    assert intervals == {"day", "week", "month", "year"}


def test_every_kind_of_invoice_is_there() -> None:
    invoices = stripe_account(Company(TODAY)).listed("invoices")
    assert {"paid", "open", "void", "uncollectible"} <= {row["status"] for row in invoices}
    assert any(row["total"] < 0 for row in invoices), "a credit"
    assert any(row["starting_balance"] < 0 and row["amount_due"] < row["total"] for row in invoices)
    assert any(row["total"] == 0 for row in invoices), "a trial"
    assert any(line["parent"]["type"] == "invoice_item_details" for row in invoices for line in row["lines"])
    assert any(row["total_taxes"] for row in invoices)


def test_what_was_billed_and_paid_stays_so_on_later_days() -> None:
    def facts(today: dt.date, now: int) -> set[tuple[object, ...]]:
        return {
            (life.number, life.currency, bill, moment, instant)
            for life in lives(Company(today))
            for bill in life.bills
            for moment, instant in (("finalized", bill.finalized), ("settled", bill.settled))
            if bill.created < now and instant < now
        }

    for number in range(20):
        today = TODAY + dt.timedelta(days=number)
        now = Company(today).now
        assert facts(today, now) == facts(today + dt.timedelta(days=1), now)


@pytest.mark.parametrize("day", [0, 1, 2, 3, 4, 5, 6, 7])
def test_objects_keep_their_ids_on_the_next_day(day: int) -> None:
    first, later = (
        {
            row["id"]: (
                row["created"],
                row.get("customer"),
                row.get("total"),
                row.get("lines", [{}])[0].get("id"),
            )
            for resource in ("customers", "subscriptions", "invoices", "prices")
            for row in stripe_account(Company(TODAY + dt.timedelta(days=days))).listed(resource)
        }
        for days in (day, day + 1)
    )
    assert len(later) > len(first)
    assert {object_id: later[object_id] for object_id in first} == first


def test_the_account_says_what_the_script_says() -> None:
    company = Company(TODAY)
    stored = [
        (row["created"], row["currency"], row["total"], row["amount_due"])
        for row in stripe_account(company).listed("invoices")
    ]
    script = [
        (bill.created // 1000, life.currency, bill.total, bill.due)
        for life in lives(company)
        for bill in life.bills
    ]
    assert sorted(stored) == sorted(script)


def test_nothing_in_the_account_lies_ahead_but_periods_and_trials() -> None:
    company = Company(TODAY)
    account = stripe_account(company)
    for row in account.listed("invoices"):
        assert row["created"] < company.now / 1000
        for instant in row["status_transitions"].values():
            assert instant is None or instant < company.now / 1000
    for row in account.listed("subscriptions"):
        assert row["ended_at"] is None or row["ended_at"] < company.now / 1000
        assert (row["status"] == "canceled") == (row["ended_at"] is not None)


def test_a_month_after_the_31st_is_the_last_day_of_the_next() -> None:
    start = int(dt.datetime(2027, 1, 31, 9, 30, tzinfo=dt.UTC).timestamp()) * 1000
    assert [as_datetime(months_later(start, months)).isoformat() for months in (1, 2, 13)] == [
        "2027-02-28T09:30:00+00:00",
        "2027-03-31T09:30:00+00:00",
        "2028-02-29T09:30:00+00:00",
    ]


def test_money_goes_back_in_every_way() -> None:
    account = stripe_account(Company(TODAY))
    assert {row["status"] for row in account.listed("refunds")} == {"succeeded", "failed"}
    notes = account.listed("credit_notes")
    assert any(row["refunds"] for row in notes)
    assert any(not row["refunds"] for row in notes)
    discounts = [len(row["discounts"]) for row in account.listed("subscriptions")]
    assert max(discounts) > 1, "stacked discounts"
