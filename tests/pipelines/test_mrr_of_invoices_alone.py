"""A key that may read invoices only: their days are complete, MRR is reconstructed from what they bill and says so."""

from decimal import Decimal

import pytest
from mrr_support import SYNCED_AT, Raw, at, shown

OTHERS = frozenset({"subscriptions", "prices", "customers", "refunds", "credit_notes", "invoice_payments"})


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Raw:
    raw = Raw(tmp_path_factory.mktemp("invoices"), unavailable=OTHERS)
    for month in (8, 9, 10):
        period = (at(month, 20), at(month + 1, 20))
        raw.invoice("monthly", at(month, 20), [{"amount": 5_000, "price_id": "m", "period": period}])
    period = (at(11, 20), at(12, 20))
    raw.invoice("monthly", at(11, 20), [{"amount": 7_500, "quantity": 3, "price_id": "m", "period": period}])
    raw.invoice(
        "yearly", at(2, 1), [{"amount": 120_000, "price_id": "y", "period": (at(2, 1), at(2, 1, year=2027))}]
    )
    change = {"price_id": "y", "is_proration": True, "period": (at(11, 1), at(2, 1, year=2027))}
    raw.invoice(
        "yearly", at(11, 1), [{"amount": -30_247, **change}, {"amount": 60_494, "quantity": 2, **change}]
    )
    raw.invoice(
        "weekly", at(11, 16), [{"amount": 1_200, "price_id": "w", "period": (at(11, 16), at(11, 23))}]
    )
    raw.invoice("left", at(9, 1), [{"amount": 5_000, "price_id": "m", "period": (at(9, 1), at(10, 1))}])
    raw.invoice("metered", at(11, 1), [{"amount": 900, "price_id": "u", "period": (at(10, 1), at(11, 1))}])
    raw.invoice(
        "never_paid",
        at(11, 1),
        [{"amount": 900, "price_id": "m", "period": (at(11, 1), at(12, 1))}],
        status="open",
        reason="subscription_create",
    )
    discounted = {"amount": 5_000, "discount_amount": 1_000, "price_id": "m"}
    raw.invoice("discounted", at(10, 1), [{**discounted, "period": (at(10, 1), at(11, 1))}])
    raw.invoice("discounted", at(11, 1), [{**discounted, "period": (at(11, 1), at(12, 1))}])
    raw.build()
    return raw


def test_an_item_counts_as_long_as_it_is_billed_for(built: Raw) -> None:
    ledger = built.mrr()
    amounts = {name: shown(ledger.at(name, SYNCED_AT)) for name, *_ in ledger.stretches}
    assert amounts == {
        "monthly": "75.00",
        "yearly": "200.00",
        "weekly": "52.00",
        "left": "0.00",
        "discounted": "40.00",
    }
    assert ledger.at("monthly", at(11, 19)) == Decimal(50)
    assert shown(ledger.at("yearly", at(10, 31))) == "100.00"
    assert ledger.at("left", at(9, 30)) == Decimal(50)
    assert ledger.at("left", at(10, 1)) == 0


def test_the_tables_say_that_it_is_reconstructed(built: Raw) -> None:
    assert {provenance for *_, provenance in built.mrr().stretches} == {"reconstructed"}
    assert built.query("select distinct provenance from kpi_internal.daily_mrr where mrr_amount > 0") == [
        ("reconstructed",)
    ]


def test_invoices_and_payments_are_complete_and_the_rest_is_not_known(built: Raw) -> None:
    [row] = built.query(
        "select sum(invoiced_amount), sum(paid_amount), count(refunded_amount), count(net_amount),"
        " count(credited_amount), max(refunds_state) from kpi_internal.daily_invoices"
    )
    invoiced = sum(line["amount"] - line["discount_amount"] for line in built.rows["invoice_lines"])
    assert row == (Decimal(invoiced) / 100, Decimal(invoiced - 900) / 100, 0, 0, 0, "missing")
