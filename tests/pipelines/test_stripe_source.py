"""What is in the raw tables after a sync with a loopback Stripe."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from stripe_support import (
    CANARY,
    OLD_VERSION,
    TABLES,
    Synced,
    at,
    company,
    embedded_warehouse,
)

from pipelines.demo.stripe_account import Item, Line, StripeAccount
from pipelines.demo.stripe_server import StripeServer
from pipelines.errors import KpiError, SettingError
from pipelines.sources.stripe import connect, ensure_tables, load, tables
from pipelines.sources.stripe.batches import Batch, Mode
from pipelines.sources.stripe.listing import Window, listed
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import RESOURCES
from pipelines.sources.stripe.store import stripe_source


@pytest.fixture
def synced(tmp_path: Path) -> Iterator[Synced]:
    with StripeServer(StripeAccount(now=at(20))) as stripe:
        yield Synced(stripe, embedded_warehouse(tmp_path))


def test_every_object_becomes_one_row_with_its_amounts_in_minor_units(synced: Synced) -> None:
    made = company(synced.stripe.account)
    report = synced.sync()

    assert report.rows == {
        "invoices": 5,
        "invoice_lines": 7,
        "invoice_payments": 3,
        "balance_transactions": 1,
        "customers": 1,
        "products": 1,
        "prices": 2,
        "subscriptions": 1,
        "subscription_items": 2,
    }
    assert report.notes == report.failures == []
    invoices = {row["id"]: row for row in synced.rows("invoices")}
    paid = invoices[made["paid"]]
    assert paid == {
        "id": made["paid"],
        "customer_id": made["customer"],
        "subscription_id": made["subscription"],
        "status": "paid",
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "currency": "usd",
        "subtotal": 2800,
        "discount_amount": 500,
        "tax": 475,
        "total_excluding_tax": 2300,
        "total": 2775,
        "starting_balance": 0,
        "ending_balance": None,
        "amount_due": 2775,
        "amount_paid": 2775,
        "amount_remaining": 0,
        "amount_overpaid": 0,
        "pre_payment_credit_notes_amount": 0,
        "post_payment_credit_notes_amount": 0,
        "created_at": at(2),
        "effective_at": at(3),
        "due_at": None,
        "finalized_at": at(3),
        "paid_at": at(3),
        "voided_at": None,
        "marked_uncollectible_at": None,
        "period_start_at": at(2),
        "period_end_at": at(2),
        "livemode": False,
        "is_deleted": False,
    }
    assert invoices[made["uncollectible"]]["total"] == -900
    assert invoices[made["open"]]["currency"] == "jpy"
    lines = [row for row in synced.rows("invoice_lines") if row["invoice_id"] == made["paid"]]
    assert [
        (line["amount"], line["line_type"], line["is_proration"], line["discount_amount"]) for line in lines
    ] == [
        (3000, "subscription_item", False, 500),
        (-200, "subscription_item", True, 0),
    ]
    items = synced.rows("subscription_items")
    assert [(item["unit_amount"], item["unit_amount_decimal"], item["quantity"]) for item in items] == [
        (1000, "1000", 3),
        (None, "0.5", None),
    ]
    assert synced.rows("subscriptions")[0]["current_period_end_at"] == at(2, month=12)


def test_both_api_shapes_give_the_same_rows(synced: Synced, tmp_path: Path) -> None:
    company(synced.stripe.account)
    older = Synced(synced.stripe, embedded_warehouse(tmp_path / "older"))
    synced.sync()
    older.sync(version=OLD_VERSION)

    assert {asked.version for asked in synced.stripe.requests} == {OLD_VERSION, synced.stripe.default_version}
    assert older.everything() == synced.everything()


def test_a_second_sync_changes_nothing(synced: Synced) -> None:
    company(synced.stripe.account)
    synced.sync()
    before = synced.everything()
    synced.sync()
    assert synced.everything() == before


@pytest.mark.parametrize("number", [0, 100, 101])
def test_lists_are_read_to_their_end(synced: Synced, number: int) -> None:
    account = synced.stripe.account
    customer = account.add_customer()
    for _ in range(number):
        account.add_invoice(customer, "eur", [Line(100)], status="paid")
    synced.sync()

    rows = synced.rows("invoices")
    assert len(rows) == len({row["id"] for row in rows}) == number


def test_all_lines_of_an_invoice_and_all_items_of_a_subscription_are_read(synced: Synced) -> None:
    account = synced.stripe.account
    customer = account.add_customer()
    price = account.add_price(account.add_product("Seats"), "eur", 100)
    account.add_subscription(customer, [Item(price)] * 25)
    account.add_invoice(customer, "eur", [Line(number) for number in range(25)])
    account.add_invoice(customer, "eur", [Line(number) for number in range(231)])
    synced.sync()

    assert len(synced.rows("invoice_lines")) == 25 + 231
    assert len(synced.rows("subscription_items")) == 25


def test_cancelled_subscriptions_are_read_too(synced: Synced) -> None:
    made = company(synced.stripe.account)
    synced.stripe.account.cancel(made["subscription"], at(9))
    synced.sync()
    assert [(row["status"], row["ended_at"]) for row in synced.rows("subscriptions")] == [("canceled", at(9))]


def test_a_changed_invoice_is_updated_in_place(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()
    account.pay(made["open"], at(15))
    synced.sync()

    rows = {row["id"]: row for row in synced.rows("invoices")}
    assert len(rows) == 5
    assert (rows[made["open"]]["status"], rows[made["open"]]["paid_at"]) == ("paid", at(15))


def test_a_line_taken_off_a_draft_goes_away_even_if_it_was_the_last(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    synced.sync()

    for left in (1, 0):
        draft = account.get("invoices", made["draft"])
        assert draft is not None
        account.remove_line(made["draft"], draft["lines"][0]["id"])
        synced.sync()
        lines = [row for row in synced.rows("invoice_lines") if row["invoice_id"] == made["draft"]]
        assert len(lines) == left
    assert len(synced.rows("invoice_lines")) == 5
    assert not any(row["is_deleted"] for row in synced.rows("invoice_lines"))


def test_a_draft_deleted_between_two_pages_neither_stops_the_list_nor_hides_a_row(synced: Synced) -> None:
    account = synced.stripe.account
    customer = account.add_customer()
    invoices = [
        account.add_invoice(customer, "eur", [Line(1)], created=at(1) + dt.timedelta(minutes=n))
        for n in range(150)
    ]

    def delete_the_cursor(asked: object) -> None:
        if (
            len(synced.stripe.requests)
            and "starting_after" in str(asked)
            and account.get("invoices", invoices[50])
        ):
            account.delete("invoices", invoices[50])

    synced.stripe.before_answer = delete_the_cursor
    synced.sync()
    assert {row["id"] for row in synced.rows("invoices")} >= set(invoices) - {invoices[50]}


def test_an_object_of_an_unexpected_shape_is_put_aside_and_the_rest_is_loaded(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    account.change("invoices", made["open"], currency=None)
    account.change("invoices", made["void"], total=f"{CANARY} 12.50")
    account.change("subscriptions", made["subscription"], created="yesterday")
    report = synced.sync()

    assert {row["id"] for row in synced.rows("invoices")} == {
        made["paid"],
        made["draft"],
        made["uncollectible"],
    }
    assert synced.rows("quarantine") == [
        {"object": "invoice", "id": made["open"], "field": "currency", "reason": "missing"},
        {"object": "invoice", "id": made["void"], "field": "total", "reason": "unexpected"},
        {"object": "subscription", "id": made["subscription"], "field": "created_at", "reason": "unexpected"},
    ]
    assert "stripe: 1 invoice left out into quarantine (missing currency)." in report.notes
    assert len(report.notes) == 3


@pytest.mark.parametrize("name", [None, 7, ["in_1"], {"id": "in_1"}, "two words"])
def test_a_value_of_any_kind_in_place_of_an_id_is_refused_and_nothing_more(name: object) -> None:
    batch = Batch(at(1), livemode=False)
    assert not batch.add(tables.CUSTOMERS, "customer", {"id": name, "created_at": 1})
    [fault] = batch.rows["quarantine"]
    assert (fault["field"], fault["id"]) == ("id", "none")


def test_half_a_character_or_a_number_of_any_size_spoils_nothing_but_its_own_object(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    account.add_customer(id="cus_emoji", name="half of \ud83d")
    account.add_product("Seats", id="prod_\ud83d")
    account.change("invoices", made["open"], total=2**63)
    account.change("invoices", made["void"], total=2**70)
    account.add_coupon(id="coupon_nan", percent_off=float("nan"))
    account.add_coupon(id="coupon_exact", percent_off=33.3)
    synced.sync()

    assert "cus_emoji" in {row["id"] for row in synced.rows("customers")}
    aside = [(row["object"], row["id"], row["field"]) for row in synced.rows("quarantine")]
    assert [fault for fault in aside if fault[0] != "event"] == [
        ("coupon", "coupon_nan", "percent_off"),
        ("invoice", made["open"], "total"),
        ("invoice", made["void"], "total"),
        ("product", "none", "id"),
    ]
    assert [row["percent_off"] for row in synced.rows("coupons")] == ["33.3"]


def test_nothing_personal_is_written_anywhere(synced: Synced) -> None:
    account = synced.stripe.account
    made = company(account)
    account.change("invoices", made["void"], currency=f"{CANARY}@example.org")
    account.add_customer(id=f"{CANARY}@example.org")
    account.change("subscriptions", made["subscription"], status=CANARY)
    synced.sync()
    synced.sync(version=OLD_VERSION)

    folder = synced.warehouse.duckdb_path.parent
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert synced.warehouse.duckdb_path in files
    texts = {CANARY.encode(), synced.stripe.api_key.encode()}
    assert [path for path in files for text in texts if text in path.read_bytes()] == []
    # DuckDB compresses columns: ask it for every text as well.
    with duckdb.connect(str(synced.warehouse.duckdb_path)) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
        for schema, table in tables:
            found = connection.execute(f'select * from "{schema}"."{table}"').fetchall()
            assert CANARY not in str(found)
            assert synced.stripe.api_key not in str(found)


def test_every_raw_table_is_there_without_a_key_and_without_a_request(tmp_path: Path) -> None:
    warehouse = embedded_warehouse(tmp_path)
    ensure_tables(warehouse)
    ensure_tables(warehouse)
    with duckdb.connect(str(warehouse.duckdb_path)) as connection:
        for table in tables.TABLES:
            assert connection.execute(f"select count(*) from raw_stripe.{table.name}").fetchall() == [(0,)]
        columns = connection.execute("describe raw_stripe.invoices").fetchall()
    assert ("total", "BIGINT") in [column[:2] for column in columns]
    assert ("paid_at", "TIMESTAMP WITH TIME ZONE") in [column[:2] for column in columns]


def test_tables_are_made_anew_after_the_warehouse_file_was_deleted(synced: Synced) -> None:
    company(synced.stripe.account)
    synced.sync()
    before = synced.everything()
    synced.warehouse.duckdb_path.unlink()
    ensure_tables(synced.warehouse)
    assert synced.rows("invoices") == []
    synced.sync()
    assert synced.everything() == before


def test_every_row_names_the_load_that_wrote_it(synced: Synced) -> None:
    company(synced.stripe.account)
    synced.sync()
    ensure_tables(synced.warehouse)
    with duckdb.connect(str(synced.warehouse.duckdb_path)) as connection:
        for table in (*TABLES, "resources"):
            unnamed = connection.execute(
                f"select count(*) from raw_stripe.{table} where _dlt_load_id not in "
                "(select load_id from raw_stripe._dlt_loads)"
            ).fetchall()
            assert unnamed == [(0,)]


@pytest.mark.parametrize("stored", [False, True])
def test_test_mode_and_live_mode_are_never_mixed(tmp_path: Path, stored: bool) -> None:
    warehouse = embedded_warehouse(tmp_path)
    with (
        StripeServer(StripeAccount(livemode=stored)) as first,
        StripeServer(StripeAccount(livemode=not stored)) as second,
    ):
        company(first.account)
        company(second.account)
        synced = Synced(first, warehouse)
        synced.sync()
        before = synced.everything()
        with pytest.raises(KpiError, match="the two never mix"):
            Synced(second, warehouse).sync()
        assert synced.everything() == before


def test_rows_that_a_killed_run_left_behind_fix_the_mode_too(tmp_path: Path) -> None:
    warehouse = embedded_warehouse(tmp_path)
    with StripeServer(StripeAccount(livemode=True)) as live, StripeServer() as test:
        company(live.account)
        company(test.account)
        first, second = Synced(live, warehouse), Synced(test, warehouse)
        ensure_tables(warehouse)
        [batch] = listed(Reader(first.api(), Mode()), [Window(RESOURCES["invoices"], 0)], threads=1)
        assert isinstance(batch, Batch)
        warehouse.pipeline("stripe").extract(stripe_source(batch.tables()))
        with pytest.raises(KpiError, match="the two never mix"):
            second.sync()
        assert {row["livemode"] for row in second.rows("invoices")} == {True}


def test_a_missing_key_is_a_setting_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCES__STRIPE__API_KEY", raising=False)
    with pytest.raises(SettingError, match="SOURCES__STRIPE__API_KEY"):
        load(embedded_warehouse(tmp_path), lambda line: None)


def test_the_client_is_made_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__STRIPE__API_KEY", "sk_test_setting")
    monkeypatch.setenv("SOURCES__STRIPE__BASE_URL", "http://127.0.0.1:9")
    api = connect()
    assert (api.api_key, api.host) == ("sk_test_setting", "127.0.0.1:9")
    assert "sk_test_setting" not in repr(api)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_KEY", "sk_test_ä"),
        ("API_KEY", "sk_test two"),
        ("BASE_URL", "stripe"),
        ("BASE_URL", "ftp://stripe"),
    ],
)
def test_a_setting_that_cannot_work_is_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__STRIPE__API_KEY", "sk_test_setting")
    monkeypatch.setenv(f"SOURCES__STRIPE__{name}", value)
    with pytest.raises(SettingError, match=f"SOURCES__STRIPE__{name}") as caught:
        connect()
    assert name != "API_KEY" or value not in str(caught.value)
