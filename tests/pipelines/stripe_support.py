"""A made-up Stripe account, a warehouse in a temporary folder, and reading its rows back."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pipelines.demo.stripe_account import Item, Line, StripeAccount
from pipelines.demo.stripe_server import StripeServer
from pipelines.sources.load import LoadReport
from pipelines.sources.stripe import load, tables
from pipelines.sources.stripe.client import API_VERSION, StripeApi
from pipelines.warehouse import Warehouse

OLD_VERSION = "2024-06-20"
CANARY = "canary-7f3a"
# What the account has now; not what was seen of it and when.
TABLES = tuple(
    table.name
    for table in tables.TABLES
    if table.name not in {"resources", "windows", "differences", "quarantine", "events"}
    and not table.name.startswith("subscription_version")
)


def at(day: int, hour: int = 12, month: int = 11) -> dt.datetime:
    """An instant of 2026."""
    return dt.datetime(2026, month, day, hour, tzinfo=dt.UTC)


def embedded_warehouse(folder: Path) -> Warehouse:
    """A DuckDB warehouse in a folder."""
    return Warehouse(
        target="duckdb", duckdb_path=folder / "warehouse.duckdb", schema_prefix="", reporting_timezone="UTC"
    )


@dataclass
class Synced:
    """A warehouse beside a loopback Stripe, and the waits of the client in place of sleep."""

    stripe: StripeServer
    warehouse: Warehouse
    waits: list[float] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    later: dt.timedelta = dt.timedelta()
    """How far the client's clock is ahead."""

    def api(self, key: str | None = None, version: str = API_VERSION) -> StripeApi:
        """A client of the loopback Stripe that does not sleep."""
        return StripeApi(
            key or self.stripe.api_key,
            base_url=self.stripe.base_url,
            api_version=version,
            sleep=self.waits.append,
            clock=lambda: dt.datetime.now(dt.UTC) + self.later,
        )

    def sync(self, key: str | None = None, version: str = API_VERSION, *, sweep: bool = False) -> LoadReport:
        """One run of the source."""
        return load(self.warehouse, self.shown.append, self.api(key, version), sweep=sweep)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a raw table by key, without what differs from load to load."""
        with duckdb.connect(str(self.warehouse.duckdb_path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            try:
                result = connection.execute(f"select * from raw_stripe.{table} order by 1, 2")
            except duckdb.CatalogException:
                return []
            names = [column[0] for column in result.description]
            rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        return [
            {
                name: value
                for name, value in row.items()
                if name not in {"requested_at", "checked_at", "_dlt_load_id"}
            }
            for row in rows
        ]

    def everything(self) -> dict[str, list[dict[str, Any]]]:
        """The rows of all tables of objects."""
        return {table: self.rows(table) for table in TABLES}


def company(account: StripeAccount) -> dict[str, str]:
    """A customer with a subscription of two items, invoices in every state, and personal data everywhere."""
    personal = {
        "address": {"line1": f"{CANARY} Street 1", "city": CANARY, "country": "DE"},
        "description": CANARY,
        "metadata": {"note": CANARY},
    }
    customer = account.add_customer(
        created=at(1),
        name=CANARY,
        email=f"{CANARY}@example.org",
        phone=CANARY,
        currency="usd",
        shipping={"name": CANARY},
        **personal,
    )
    product = account.add_product(CANARY, created=at(1), description=CANARY)
    monthly = account.add_price(product, "usd", 1000, created=at(1), nickname=CANARY)
    metered = account.add_price(
        product,
        "usd",
        None,
        unit_amount_decimal="0.5",
        usage_type="metered",
        created=at(1),
    )
    subscription = account.add_subscription(
        customer,
        [Item(monthly, 3), Item(metered, None)],
        created=at(2),
        period=(at(2), at(2, month=12)),
        description=CANARY,
        metadata={"note": CANARY},
    )
    item = account.get("subscriptions", subscription)
    assert item is not None
    item_id = item["items"][0]["id"]
    line = Line(
        3000,
        price=monthly,
        quantity=3,
        subscription=subscription,
        subscription_item=item_id,
        period=(at(2), at(2, month=12)),
        discount_amount=500,
        tax_amount=475,
        description=CANARY,
        metadata={"note": CANARY},
    )
    proration = Line(
        -200,
        price=monthly,
        subscription=subscription,
        subscription_item=item_id,
        invoice_item=True,
        proration=True,
    )
    one_time = Line(700, description=CANARY, tax_amount=133)
    facts: dict[str, Any] = {"description": CANARY, "footer": CANARY, "metadata": {"note": CANARY}}
    return {
        "customer": customer,
        "subscription": subscription,
        "paid": account.add_invoice(
            customer,
            "usd",
            [line, proration],
            created=at(2),
            subscription=subscription,
            status="paid",
            at=at(3),
            **facts,
        ),
        "draft": account.add_invoice(customer, "usd", [one_time, one_time], created=at(4), **facts),
        "open": account.add_invoice(customer, "jpy", [one_time], created=at(5), status="open", **facts),
        "void": account.add_invoice(customer, "kwd", [one_time], created=at(6), status="void", **facts),
        "uncollectible": account.add_invoice(
            customer, "usd", [Line(-900)], created=at(7), status="uncollectible", **facts
        ),
    }
