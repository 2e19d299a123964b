"""Raw tables of Stripe written by hand, built for real, and the marts of money read back."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
from dbt_support import invoke

from pipelines.sources.stripe.tables import TABLES
from pipelines.warehouse import Warehouse

MARTS = (
    "daily_invoices",
    "daily_mrr",
    "monthly_mrr",
    "daily_mrr_converted",
    "mrr_by_subscription",
    "mrr_at_risk",
    "mrr_policy_bridge",
    "mrr_invoice_bridge",
)
SYNCED_AT = dt.datetime(2026, 11, 21, 18, tzinfo=dt.UTC)
_TABLES = {table.name: table for table in TABLES}


def at(month: int, day: int, hour: int = 0, minute: int = 0, year: int = 2026) -> dt.datetime:
    """An instant, of 2026 unless said otherwise."""
    return dt.datetime(year, month, day, hour, minute, tzinfo=dt.UTC)


@dataclass
class Raw:
    """Rows of the raw tables; what a row does not name is NULL."""

    folder: Path
    synced_at: dt.datetime = SYNCED_AT
    timezone: str = "UTC"
    seeds_path: Path | None = None
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse("duckdb", self.folder / "money.duckdb", "", self.timezone, self.seeds_path)

    def add(self, table: str, **row: Any) -> str:
        """Put one row into a table; gives its id."""
        rows = self.rows.setdefault(table, [])
        row = {"id": f"{table}_{len(rows):05d}", **row}
        rows.append({"livemode": True, "is_deleted": False, "requested_at": self.synced_at, **row})
        return str(row["id"])

    def price(
        self, price_id: str, currency: str, amount: Any, interval: str = "month", count: int = 1, **terms: Any
    ) -> str:
        """A price; an amount that is no whole number is given as decimal text only."""
        is_whole = isinstance(amount, int)
        facts: dict[str, Any] = {
            "product_id": f"prod_{price_id}",
            "currency": currency,
            "price_type": "recurring",
            "billing_scheme": "per_unit",
            "unit_amount": amount if is_whole else None,
            "unit_amount_decimal": None if amount is None else str(amount),
            "interval": interval,
            "interval_count": count,
            "usage_type": "licensed",
        }
        return self.add("prices", id=price_id, created_at=at(1, 1, year=2020), **facts | terms)

    def subscription(
        self,
        subscription_id: str,
        items: Iterable[Mapping[str, Any]],
        *,
        created: dt.datetime,
        status: str = "active",
        customer: str | None = None,
        observed_at: dt.datetime | None = None,
        event_at: dt.datetime | None = None,
        currency: str = "usd",
        discounts: Iterable[Mapping[str, Any]] = (),
        **facts: Any,
    ) -> None:
        """One look at a subscription; a later look at the same one is a further version."""
        seen = observed_at or self.synced_at
        version = f"{subscription_id}@{seen.timestamp():.0f}"
        life = {
            "customer_id": customer or f"cus_{subscription_id}",
            "status": status,
            "currency": currency,
            "created_at": created,
            "start_at": created,
            "cancel_at_period_end": False,
            **facts,
        }
        self.rows["subscriptions"] = [
            row for row in self.rows.get("subscriptions", []) if row["id"] != subscription_id
        ]
        self.add("subscriptions", id=subscription_id, collection_method="charge_automatically", **life)
        life = {name: value for name, value in life.items() if not name.startswith("current_period")}
        self.add(
            "subscription_versions",
            id=version,
            subscription_id=subscription_id,
            state_hash=version,
            observed_at=seen,
            event_at=event_at,
            **life,
        )
        terms = {row["id"]: row for row in self.rows.get("prices", [])}
        for item in items:
            price = terms.get(item["price_id"], {})
            copied = {
                name: price.get(name)
                for name in _TABLES["subscription_version_items"].schema.names
                if name not in {"id", "livemode", "is_deleted", "requested_at"} and name in price
            }
            name = item.get("item_id", f"si_{subscription_id}")
            row = copied | {"quantity": 1} | dict(item) | {"item_id": name}
            self.add(
                "subscription_version_items",
                id=f"{version}/{name}",
                version_id=version,
                subscription_id=subscription_id,
                **row,
            )
        for position, discount in enumerate(discounts):
            base = {
                "position": position,
                "discount_id": f"di_{subscription_id}_{position}",
                "start_at": created,
            }
            self.add(
                "subscription_version_discounts",
                id=f"{version}/{position}",
                version_id=version,
                subscription_id=subscription_id,
                **base | {"coupon_id": f"coupon_{subscription_id}_{position}"} | dict(discount),
            )

    def invoice(
        self,
        subscription_id: str | None,
        created: dt.datetime,
        lines: Iterable[Mapping[str, Any]],
        *,
        status: str = "paid",
        currency: str = "usd",
        customer: str | None = None,
        reason: str = "subscription_cycle",
        **facts: Any,
    ) -> str:
        """An invoice with its lines; totals follow from them."""
        own = [dict(line) for line in lines]
        amount = sum(line["amount"] - line.get("discount_amount", 0) for line in own)
        due = max(amount, 0)
        base: dict[str, Any] = {
            "customer_id": customer or f"cus_{subscription_id}",
            "subscription_id": subscription_id,
            "status": status,
            "billing_reason": reason,
            "collection_method": "charge_automatically",
            "currency": currency,
            "subtotal": amount,
            "discount_amount": 0,
            "tax": 0,
            "total": amount,
            "amount_due": due,
            "amount_paid": due if status == "paid" else 0,
            "amount_remaining": 0 if status == "paid" else due,
            "created_at": created,
            "finalized_at": None if status == "draft" else created,
            "paid_at": created if status == "paid" else None,
        }
        invoice = self.add("invoices", **base | facts)
        for line in own:
            known: dict[str, Any] = {
                "line_type": "subscription_item",
                "subscription_id": subscription_id,
                "subscription_item_id": f"si_{subscription_id}",
                "quantity": 1,
                "currency": currency,
                "discount_amount": 0,
                "tax": 0,
                "inclusive_tax": 0,
                "exclusive_tax": 0,
                "is_proration": False,
            }
            period = line.pop("period", (created, created))
            self.add(
                "invoice_lines",
                invoice_id=invoice,
                period_start_at=period[0],
                period_end_at=period[1],
                **known | line,
            )
        return invoice

    def build(self) -> None:
        """Write the raw tables and build the marts of money, data tests included."""
        with duckdb.connect(str(self.warehouse.duckdb_path)) as connection:
            connection.execute("create schema if not exists raw_stripe")
            listed = {
                "invoices",
                "subscriptions",
                "invoice_payments",
                "refunds",
                "credit_notes",
                "customers",
                "prices",
            }
            self.rows["resources"] = [
                {
                    "resource": name,
                    "state": "unavailable" if name in self.unavailable else "available",
                    "checked_at": self.synced_at,
                    "covered_through_at": None if name in self.unavailable else self.synced_at,
                }
                for name in sorted(listed)
            ]
            for table in TABLES:
                arrow = table.arrow(  # noqa: F841 - DuckDB finds it by its name
                    dict.fromkeys(table.schema.names) | row for row in self.rows.get(table.name, [])
                )
                connection.execute(
                    f"create or replace table raw_stripe.{table.name} as select *, 'load' as _dlt_load_id from arrow"
                )
        self.build_loaded()

    def build_loaded(self) -> None:
        """Build the marts of money from the raw tables that are there, data tests included."""
        arguments = [
            *("build", "--exclude-resource-type", "unit_test", "--indirect-selection", "cautious"),
            *("--vars", json.dumps({"report_date": None}), "--select", *(f"+{mart}" for mart in MARTS)),
        ]
        assert any(node.startswith("test.") for node in invoke(self.warehouse, arguments))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read rows from the marts."""
        with self.warehouse.reader() as connection:
            return connection.execute(sql).fetchall()

    def mrr(self, policy: str = "stripe") -> "Ledger":
        """The ledger of one policy."""
        return Ledger(
            self.query(
                "select subscription_id, valid_from_at, valid_to_at, mrr_amount, provenance"
                f" from kpi_internal.mrr_by_subscription where policy_key = '{policy}'"
            )
        )


@dataclass
class Ledger:
    """The stretches of MRR of one policy."""

    stretches: list[tuple[str, dt.datetime, dt.datetime | None, Decimal, str]]

    def at(self, subscription_id: str, instant: dt.datetime) -> Decimal:
        """What a subscription is a month at an instant."""
        return sum(
            (
                amount
                for name, start, end, amount, _ in self.stretches
                if name == subscription_id and start <= instant and (end is None or instant < end)
            ),
            Decimal(0),
        )


def shown(amount: Decimal | Fraction, decimals: int = 2) -> str:
    """Round half up to so many decimals."""
    scaled = Fraction(amount) * 10**decimals
    return f"{Decimal(int(scaled + Fraction(1, 2))).scaleb(-decimals):.{decimals}f}"
