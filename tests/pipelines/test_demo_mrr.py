"""The made-up company's MRR as its script of lives gives it, against what comes out of its Stripe account."""

import datetime as dt
from fractions import Fraction

import pytest
import reference.mrr as reference
from mrr_support import Raw
from stripe_support import Synced

from pipelines.demo.billing import stripe_account
from pipelines.demo.billing_script import Life, lives, price
from pipelines.demo.calendar import Company, as_datetime
from pipelines.demo.stripe_server import StripeServer
from pipelines.sources.stripe import ensure_tables

TODAY = dt.date(2026, 11, 21)
DECIMALS = {"eur": 2, "usd": 2, "jpy": 0, "kwd": 3}
TOLERANCE = Fraction(1, 10**9)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    raw = Raw(tmp_path_factory.mktemp("demo"))
    with StripeServer(stripe_account(Company(TODAY))) as stripe:
        report = Synced(stripe, raw.warehouse).sync()
    assert report.failures == []
    ensure_tables(raw.warehouse)
    raw.build_loaded()
    return raw


def as_reference(life: Life, now: int) -> reference.Life:
    """What a life of the script counts, and from when to when."""
    first = next(bill for bill in life.bills if bill.of_subscription)
    begins = life.trial_end or (first.settled if first.due else life.began)
    ends = life.ends if life.ends is not None and life.ends < now else None
    given_up = [bill for bill in life.bills if bill.outcome == "uncollectible" and bill.settled < now]
    if life.unpaid_from is not None and given_up:
        ends = life.unpaid_from
    began = as_datetime(life.began)
    discounts = [reference.Discount(began, None, percent=Fraction(part)) for part in life.percentages]
    if life.amount_off:
        discounts.append(reference.Discount(began, None, amount=life.amount_off))
    return reference.Life(
        name=str(life.number),
        customer=str(life.number),
        currency=life.currency,
        decimals=DECIMALS[life.currency],
        interval=life.interval,
        interval_count=1,
        begins=as_datetime(begins) if begins < now else None,
        ends=None if ends is None else as_datetime(ends),
        terms=tuple(
            reference.Terms(as_datetime(since), Fraction(price(life.currency, plan, life.interval)), 1)
            for since, plan in life.plans
        ),
        discounts=tuple(discounts),
    )


def test_every_day_of_the_company_has_the_mrr_of_its_script(company: Raw) -> None:
    now = Company(TODAY).now
    script = [as_reference(life, now) for life in lives(Company(TODAY))]
    rows = company.query(
        "select currency, mrr_date, mrr_amount, paying_customers from kpi_internal.daily_mrr"
        f" where policy_key = 'stripe' and mrr_date <= date '{TODAY}' order by 1, 2"
    )
    first = min(day for _, day, _, _ in rows)
    ends = reference.day_ends(script, first, TODAY, "UTC", as_datetime(now))
    wrong = []
    for currency, day, amount, customers in rows:
        values = [value[(day - first).days] for (_, other), value in ends.items() if other == currency]
        expected = sum(values, Fraction(0))
        if abs(expected - Fraction(amount)) > TOLERANCE or sum(value > 0 for value in values) != customers:
            wrong.append(f"{currency} {day}: {float(expected)} expected, {amount} found")
    assert wrong == []
    assert {currency for currency, *_ in rows} == set(DECIMALS)
    assert len(rows) > 400


def test_what_was_given_back_is_in_the_days(company: Raw) -> None:
    given = [
        (*bill.given_back, life.currency)
        for life in lives(Company(TODAY))
        for bill in life.bills
        if bill.given_back is not None and bill.settled + 86_400_000 < Company(TODAY).now
    ]
    for currency, decimals in DECIMALS.items():
        [(refunded, credited)] = company.query(
            "select sum(refunded_amount), sum(credited_amount) from kpi_internal.daily_invoices"
            f" where currency = '{currency}'"
        )
        mine = [(kind, amount) for kind, amount, other in given if other == currency]
        refunds = sum(amount for kind, amount in mine if kind in {"refund", "refund by credit note"})
        credits_ = sum(amount for kind, amount in mine if kind == "credit note")
        assert refunded == Fraction(refunds, 10**decimals)
        assert credited == Fraction(credits_, 10**decimals)
