"""Changes, faults, kills and syncs in any order: a last sync leaves the raw tables equal to the account."""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stripe_support import Synced, at, embedded_warehouse

from pipelines.demo.stripe_account import Item, Line, StripeAccount
from pipelines.demo.stripe_server import Fault, StripeServer
from pipelines.sources.load import run_pipeline
from pipelines.sources.stripe import client, listing, load, store
from pipelines.sources.stripe.batches import Batch, Mode
from pipelines.sources.stripe.listing import listed, windows_left
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import RESOURCES
from pipelines.warehouse import Warehouse

Rows = dict[str, dict[str, dict[str, Any]]]
"""Table -> id -> row."""

STAGES = ("before", "extracted", "normalized", "loaded")


class Killed(BaseException):
    """Stands for a process that ends where it is."""


@dataclass
class World:
    """An account that things happen to."""

    account: StripeAccount
    minutes: int = 0
    made: dict[str, list[str]] = field(default_factory=dict)

    def open(self) -> None:
        """A few customers with invoices and subscriptions, some with more parts than a page holds."""
        account = self.account
        product = account.add_product("Seats")
        self.prices = [account.add_price(product, "usd", amount) for amount in (100, 200, 300)]
        self.coupon = account.add_coupon(percent_off=10)
        for number in range(4):
            self.act("customer", number)
            self.act("invoice", number)
        account.add_invoice(account.listed("customers")[0]["id"], "usd", [Line(n) for n in range(13)])
        self.act("subscription", 0)
        account.add_subscription(
            account.listed("customers")[0]["id"], [Item(price) for price in self.prices] * 4
        )

    def act(self, what: str, which: int) -> None:
        """Let something happen, a few minutes after the last; what cannot happen does not."""
        account = self.account
        self.minutes += 7
        account.advance(at(20) + dt.timedelta(minutes=self.minutes))
        with account.lock:
            customer = self._pick("customers", which)
            invoice = self._pick("invoices", which)
            subscription = self._pick("subscriptions", which)
            match what:
                case "customer":
                    account.add_customer(currency="usd")
                case "invoice" if customer:
                    account.add_invoice(
                        customer["id"],
                        "usd",
                        [Line(100 + which), Line(which)],
                        status="open" if which % 2 else "draft",
                    )
                case "subscription" if customer:
                    account.add_subscription(customer["id"], [Item(self.prices[which % 3])])
                case "finalize" if invoice and invoice["status"] == "draft":
                    account.finalize(invoice["id"])
                case "pay" if invoice and invoice["status"] == "open":
                    account.pay(invoice["id"], amount=1 if which % 2 else None)
                case "void" if invoice and invoice["status"] == "open":
                    account.void(invoice["id"])
                case "credit" if invoice and invoice["status"] in {"open", "paid"}:
                    account.add_credit_note(invoice["id"], 1)
                case "line" if invoice and invoice["status"] == "draft":
                    account.add_line(invoice["id"], Line(which))
                case "no line" if invoice and invoice["status"] == "draft" and invoice["lines"]:
                    account.remove_line(invoice["id"], invoice["lines"][which % len(invoice["lines"])]["id"])
                case "delete draft" if invoice and invoice["status"] == "draft":
                    account.delete("invoices", invoice["id"])
                case "delete customer" if customer:
                    account.delete("customers", customer["id"])
                case "cancel" if subscription and subscription["status"] != "canceled":
                    account.cancel(subscription["id"])
                case "items" if subscription:
                    account.set_items(subscription["id"], [Item(self.prices[which % 3], which + 1)])
                case "discount" if subscription:
                    account.add_discount(self.coupon, subscription=subscription["id"])
                case "no discount" if subscription:
                    account.end_discounts(subscription=subscription["id"])
                case "refund":
                    paid = [row for row in account.listed("invoice_payments") if row["status"] == "paid"]
                    if paid:
                        account.add_refund(paid[which % len(paid)]["id"], 1)

    def _pick(self, resource: str, which: int) -> dict[str, Any] | None:
        rows = self.account.listed(resource)
        return rows[which % len(rows)] if rows else None


ACTS = (
    "customer",
    "invoice",
    "subscription",
    "finalize",
    "pay",
    "void",
    "credit",
    "line",
    "no line",
    "delete draft",
    "delete customer",
    "cancel",
    "items",
    "discount",
    "no discount",
    "refund",
)
acts = st.tuples(st.sampled_from(ACTS), st.integers(0, 9))
faults = st.builds(
    Fault,
    path=st.sampled_from(["", "/v1/invoices", "/lines", "/v1/events", "/v1/subscription"]),
    times=st.integers(1, 2),
    status=st.sampled_from([None, 409, 429, 500, 503]),
    drop=st.booleans(),
    truncate=st.booleans(),
    garbage=st.booleans(),
)


@dataclass(frozen=True)
class Run:
    """One sync: what goes wrong in it, what happens meanwhile, and where it is killed."""

    faults: list[Fault]
    meanwhile: list[tuple[int, tuple[str, int]]]
    """Before which of its requests what happens."""
    killed_at: int | str | None


runs = st.builds(
    Run,
    faults=st.lists(faults, max_size=3),
    meanwhile=st.lists(st.tuples(st.integers(0, 60), acts), max_size=4),
    killed_at=st.none() | st.integers(0, 60) | st.sampled_from(STAGES),
)
lives = st.lists(st.one_of(acts, acts, runs), min_size=2, max_size=10)


@contextmanager
def killed(patch: pytest.MonkeyPatch, at_stage: str) -> Iterator[None]:
    """Let the next load end at a stage, with what it had written by then."""

    def run(warehouse: Warehouse, pipeline: dlt.Pipeline, data: Any) -> Any:
        if at_stage in {"extracted", "normalized"}:
            pipeline.extract(data)
        if at_stage == "normalized":
            pipeline.normalize()
        if at_stage == "loaded":
            run_pipeline(warehouse, pipeline, data)
        raise Killed

    with patch.context() as context:
        context.setattr(store, "run_pipeline", run)
        yield


def sync(synced: Synced, world: World, run: Run, key: str, patch: pytest.MonkeyPatch) -> None:
    """One run that may be killed, and whose faults pass."""
    asked = 0
    synced.stripe.faults[:] = [
        Fault(f.path, f.times, f.status, None, f.drop, f.truncate, f.garbage) for f in run.faults
    ]

    def before(_: object) -> None:
        nonlocal asked
        for number, act in run.meanwhile:
            if number == asked:
                world.act(*act)
        asked += 1

    synced.stripe.before_answer = before
    api = synced.api(key)
    clock, sent = api.clock, 0

    def ticking() -> dt.datetime:
        nonlocal sent
        sent += 1
        if isinstance(run.killed_at, int) and sent > run.killed_at:
            raise Killed
        return clock()

    api.clock = ticking
    stage = run.killed_at if isinstance(run.killed_at, str) else None
    try:
        if stage:
            with killed(patch, stage):
                load(synced.warehouse, synced.shown.append, api)
        else:
            load(synced.warehouse, synced.shown.append, api)
    except Killed:
        pass
    finally:
        synced.stripe.before_answer = None
        synced.stripe.faults.clear()


def shown_by_stripe(synced: Synced, key: str) -> Rows:
    """What the account holds, read list by list into memory and nothing else."""
    reader = Reader(synced.api(key), Mode(False))
    result: Rows = {}
    for resource in RESOURCES.values():
        for batch in listed(reader, windows_left(resource, ()), 1):
            if isinstance(batch, Batch):
                for name, table in batch.tables().items():
                    kept = [row for row in table.to_pylist() if not row.get("is_deleted")]
                    result.setdefault(name, {}).update({row["id"]: _facts(row) for row in kept})
    return result


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in {"requested_at", "_dlt_load_id"}}


def check(synced: Synced, key: str) -> None:
    """Compare the raw tables with the account: same rows, each once; what is there no more says so."""
    want = shown_by_stripe(synced, key)
    for name in sorted(set(want) | set(RESOURCES)):
        rows = synced.rows(name)
        assert len(rows) == len({row["id"] for row in rows}), f"{name} holds a row twice"
        have = {row["id"]: _facts(row) for row in rows if not row["is_deleted"]}
        assert have == want.get(name, {}), name


def tell(life: list[Any], *, only_invoices: bool, patch: pytest.MonkeyPatch) -> None:
    """Let a life happen beside a warehouse, then sync a last time and compare."""
    patch.setattr(client, "ROWS_A_PAGE", 3)
    patch.setattr(listing, "WORTH_SHARING", 1)
    account = StripeAccount(now=at(20))
    world = World(account)
    world.open()
    with StripeServer(account) as stripe, tempfile.TemporaryDirectory() as folder:
        key = stripe.restricted_key("invoices", "customers") if only_invoices else stripe.api_key
        synced = Synced(stripe, embedded_warehouse(Path(folder)))
        for step in life:
            if isinstance(step, Run):
                sync(synced, world, step, key, patch)
            else:
                world.act(*step)
        synced.sync(key)
        check(synced, key)


def told(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        limits = settings(
            max_examples=examples,
            deadline=None,
            derandomize=examples < 50,
            suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        )
        return limits(given(life=lives, only_invoices=st.booleans())(test))

    return decorate


@told(5)
def test_after_any_interleaving_a_last_sync_equals_the_account(
    monkeypatch: pytest.MonkeyPatch, life: list[Any], only_invoices: bool
) -> None:
    tell(life, only_invoices=only_invoices, patch=monkeypatch)


@pytest.mark.soak
@told(150)
def test_after_any_of_many_interleavings_a_last_sync_equals_the_account(
    monkeypatch: pytest.MonkeyPatch, life: list[Any], only_invoices: bool
) -> None:
    tell(life, only_invoices=only_invoices, patch=monkeypatch)


@pytest.mark.parametrize("stage", [*STAGES, 9, 25])
def test_a_run_killed_at_any_stage_of_its_load_is_made_good_by_the_next(
    monkeypatch: pytest.MonkeyPatch, stage: int | str
) -> None:
    first = Run([], [(4, ("pay", 1)), (8, ("delete draft", 0))], stage)
    tell(
        [first, ("pay", 1), ("cancel", 0), Run([], [], stage), ("items", 1)],
        only_invoices=False,
        patch=monkeypatch,
    )
