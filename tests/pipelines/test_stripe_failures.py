"""What people see when Stripe, the key or the network fails, and what is loaded all the same."""

import datetime as dt
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest
from stripe_support import TABLES, Synced, at, company, embedded_warehouse

from pipelines.demo.stripe_account import Line, StripeAccount
from pipelines.demo.stripe_server import Fault, StripeServer
from pipelines.errors import KpiError
from pipelines.sources.stripe import load
from pipelines.sources.stripe.client import ATTEMPTS, StripeApi
from pipelines.warehouse import PROJECT_ROOT


@pytest.fixture
def synced(tmp_path: Path) -> Iterator[Synced]:
    with StripeServer(StripeAccount(now=at(20))) as stripe:
        company(stripe.account)
        yield Synced(stripe, embedded_warehouse(tmp_path))


def test_a_key_that_may_read_only_invoices_loads_them_and_says_what_is_missing(synced: Synced) -> None:
    report = synced.sync(key=synced.stripe.restricted_key("invoices"))

    assert len(synced.rows("invoices")) == 5
    assert len(synced.rows("invoice_lines")) == 7
    for table in TABLES:
        assert bool(synced.rows(table)) == (table in {"invoices", "invoice_lines"}), table
    states = {row["resource"]: row["state"] for row in synced.rows("resources")}
    assert states.pop("invoices") == "available"
    assert set(states.values()) == {"unavailable"}
    assert states.keys() >= {"customers", "subscriptions", "refunds"}
    assert "stripe: the key may not read customers; the rest was loaded." in report.notes
    assert report.failures == []
    refused = [asked for asked in synced.stripe.requests if asked.path == "/v1/customers"]
    assert len(refused) == 2, "with the discount's coupon, and without"


def test_a_resource_that_becomes_readable_is_available_from_then_on(synced: Synced) -> None:
    synced.sync(key=synced.stripe.restricted_key("invoices"))
    synced.sync()
    assert {row["state"] for row in synced.rows("resources")} == {"available"}
    assert len(synced.rows("customers")) == 1


def test_a_key_that_may_read_nothing_is_a_failure(synced: Synced) -> None:
    report = synced.sync(key=synced.stripe.restricted_key())
    assert len(report.failures) == 1
    assert "may read none of invoices" in report.failures[0]


def test_a_wrong_key_is_named_with_its_remedy_and_loses_nothing(synced: Synced) -> None:
    synced.sync()
    before = synced.everything()
    wrong = "sk_test_" + "0123456789" * 2
    with pytest.raises(KpiError, match="does not accept the API key") as caught:
        synced.sync(key=wrong)

    assert "SOURCES__STRIPE__API_KEY" in caught.value.remedy
    assert wrong not in "".join(traceback.format_exception(caught.value))
    assert synced.waits == []
    assert synced.everything() == before


def test_an_unreachable_stripe_is_named_by_its_host(tmp_path: Path) -> None:
    waits: list[float] = []
    api = StripeApi("sk_test_0", base_url="http://127.0.0.1:1", sleep=waits.append)
    with pytest.raises(KpiError, match=r"127\.0\.0\.1:1.*refuses the connection"):
        load(embedded_warehouse(tmp_path), lambda line: None, api)
    assert len(waits) >= ATTEMPTS - 1


def test_a_server_that_does_not_speak_stripe_is_named(synced: Synced) -> None:
    synced.stripe.faults.append(Fault(garbage=True, times=100))
    with pytest.raises(KpiError, match="the body is not JSON"):
        synced.sync()


def test_an_address_of_something_else_is_named(synced: Synced) -> None:
    elsewhere = StripeApi(synced.stripe.api_key, base_url=f"{synced.stripe.base_url}/elsewhere")
    with pytest.raises(KpiError, match="no list of Stripe's"):
        load(synced.warehouse, synced.shown.append, elsewhere)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, times=2),
        Fault(status=503),
        Fault(status=409),
        Fault(status=429, times=3),
        Fault(drop=True, times=2),
        Fault(truncate=True, times=2),
        Fault(garbage=True),
    ],
    ids=["500", "503", "409", "429", "dropped", "truncated", "unparsable"],
)
def test_a_passing_failure_is_overcome(synced: Synced, fault: Fault) -> None:
    times = fault.times
    synced.stripe.faults.append(fault)
    page = synced.api().page("/v1/invoices")

    assert len(page.rows) == 5
    assert len(synced.waits) == times
    assert all(0 < wait < 30 for wait in synced.waits)


def test_failures_all_over_a_run_leave_no_trace_in_its_rows(synced: Synced, tmp_path: Path) -> None:
    undisturbed = Synced(synced.stripe, embedded_warehouse(tmp_path / "undisturbed"))
    undisturbed.sync()
    synced.stripe.faults += [
        Fault(path="/v1/invoices", status=429, retry_after=1, times=2),
        Fault(path="/v1/invoices", truncate=True),
        Fault(path="/v1/subscriptions", drop=True, times=2),
        Fault(path="/v1/customers", status=503),
        Fault(path="/v1/customers", garbage=True),
    ]
    synced.sync()
    assert len(synced.waits) == 7
    assert synced.everything() == undisturbed.everything()


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_waited_for(synced: Synced, form: str) -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)
    asked = "95" if form == "seconds" else format_datetime(later, usegmt=True)
    synced.stripe.faults.append(Fault(status=429, retry_after=asked))
    synced.api().page("/v1/invoices")
    assert len(synced.waits) == 1
    assert 90 <= synced.waits[0] <= 100


def test_a_wait_too_long_is_left_to_the_caller(synced: Synced) -> None:
    synced.stripe.faults.append(Fault(status=429, retry_after=3600))
    with pytest.raises(KpiError, match="asks to wait 3600 seconds"):
        synced.sync()


def test_a_failure_that_lasts_ends_the_run_and_the_next_one_mends_it(synced: Synced) -> None:
    synced.sync()
    before = synced.everything()
    company(synced.stripe.account)
    synced.stripe.faults.append(Fault(path="/v1/customers", status=500, times=1000))
    with pytest.raises(KpiError, match=f"in {ATTEMPTS} attempts: it answers 500"):
        synced.sync()
    assert synced.everything() == before

    synced.stripe.faults.clear()
    synced.sync()
    assert len(synced.rows("invoices")) == 10


def test_an_error_shows_neither_the_key_nor_what_stripe_answered(synced: Synced) -> None:
    synced.stripe.faults.append(Fault(path="/v1/invoices", status=500, times=1000))
    with pytest.raises(KpiError) as caught:
        synced.sync()
    shown = "".join(traceback.format_exception(caught.value))
    assert synced.stripe.api_key not in shown
    assert "An error occurred on our side" not in shown


def test_a_run_killed_anywhere_is_made_good_by_the_next_one(
    synced: Synced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = synced.stripe.account
    customer = account.add_customer()
    for number in range(450):
        account.add_invoice(customer, "eur", [Line(number), Line(number)], status="paid")
    undisturbed = Synced(synced.stripe, embedded_warehouse(tmp_path / "undisturbed"))
    undisturbed.sync()
    requests = len(synced.stripe.requests)
    monkeypatch.setenv("KPI_DUCKDB_PATH", str(synced.warehouse.duckdb_path))
    monkeypatch.setenv("SOURCES__STRIPE__API_KEY", synced.stripe.api_key)
    monkeypatch.setenv("SOURCES__STRIPE__BASE_URL", synced.stripe.base_url)

    # Halfway through the lists; then some time after the last request, while rows are prepared and merged.
    for asked, pause in ((requests // 2, 0.0), (requests, 0.1), (requests, 0.5)):
        synced.stripe.requests.clear()
        with _run() as process:
            _wait_for(synced, asked, process)
            time.sleep(pause)
            process.kill()

    with _run() as process:
        assert process.wait(60) == 0
    assert synced.everything() == undisturbed.everything()


def _run() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.sources.stripe"],
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_for(synced: Synced, asked: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 60
    while len(synced.stripe.requests) < asked and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.01)
