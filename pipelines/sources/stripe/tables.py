"""The raw tables of Stripe: columns, keys, and the check that each value passes before it is stored."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

LARGEST = 2**63 - 1
# From 1970 to the end of 9999, in seconds.
LAST_SECOND = 253402300799


@dataclass(frozen=True)
class Kind:
    """What a column may hold: its Arrow type, and the reading of a value (ValueError where it is not of the kind)."""

    type: pa.DataType
    read: Callable[[Any], Any]


def _text(pattern: str) -> Callable[[Any], str]:
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise ValueError
        return value

    return read


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > LARGEST:
        raise ValueError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _instant(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    seconds = _integer(value)
    if not 0 <= seconds <= LAST_SECOND:
        raise ValueError
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


IDENTIFIER = Kind(pa.string(), _text(r"[A-Za-z0-9_.:/-]{1,255}"))
# Ids of prices and products may have been chosen by the company: words, but never an e-mail address.
CHOSEN_IDENTIFIER = Kind(pa.string(), _text(r"[^@\x00-\x1f]{1,255}"))
CODE = Kind(pa.string(), _text(r"[a-z0-9_.]{1,100}"))
CURRENCY = Kind(pa.string(), _text(r"[a-z]{3,10}"))
NUMBER_TEXT = Kind(pa.string(), _text(r"-?\d{1,30}(\.\d{1,30})?"))
INTEGER = Kind(pa.int64(), _integer)
FLAG = Kind(pa.bool_(), _flag)
INSTANT = Kind(pa.timestamp("us", tz="UTC"), _instant)


@dataclass(frozen=True)
class Column:
    """One column; a required one makes a row without it unusable."""

    name: str
    kind: Kind
    required: bool = False


@dataclass(frozen=True)
class Reject:
    """Why an object was left out. It names the field, never its value."""

    reason: str
    field: str


@dataclass(frozen=True)
class Table:
    """One raw table, merged on `key`, the copy fetched last winning.

    With `owner` all rows of an owner are replaced together instead, so that one load holds each owner once.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    owner: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of its rows."""
        return pa.schema([pa.field(column.name, column.kind.type) for column in self.columns])

    def checked(self, row: Mapping[str, Any]) -> dict[str, Any] | Reject:
        """The row with each value read, or what is wrong with it."""
        result = {}
        for column in self.columns:
            value = row.get(column.name)
            if value is None:
                if column.required:
                    return Reject("missing", column.name)
            else:
                try:
                    value = column.kind.read(value)
                except ValueError:
                    return Reject("unexpected", column.name)
            result[column.name] = value
        return result

    def arrow(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as columns."""
        return pa.Table.from_pylist(list(rows), schema=self.schema)


def _must(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, required=True) for name in names)


def _may(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


_OBJECT = (*_must(FLAG, "livemode", "is_deleted"), *_must(INSTANT, "fetched_at"))

INVOICES = Table(
    "invoices",
    (
        *_must(IDENTIFIER, "id"),
        *_may(IDENTIFIER, "customer_id", "subscription_id"),
        *_must(CODE, "status"),
        *_may(CODE, "billing_reason", "collection_method"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "subtotal", "discount_amount", "tax"),
        *_may(INTEGER, "total_excluding_tax"),
        *_must(INTEGER, "total"),
        *_may(INTEGER, "starting_balance"),
        *_must(INTEGER, "amount_due", "amount_paid", "amount_remaining"),
        *_may(INTEGER, "amount_overpaid"),
        *_may(INTEGER, "pre_payment_credit_notes_amount", "post_payment_credit_notes_amount"),
        *_must(INSTANT, "created_at"),
        *_may(INSTANT, "finalized_at", "paid_at", "voided_at", "marked_uncollectible_at"),
        *_may(INSTANT, "period_start_at", "period_end_at"),
        *_OBJECT,
    ),
)
INVOICE_LINES = Table(
    "invoice_lines",
    (
        *_must(IDENTIFIER, "id", "invoice_id"),
        *_must(CODE, "line_type"),
        *_may(IDENTIFIER, "subscription_id", "subscription_item_id", "invoice_item_id"),
        *_may(CHOSEN_IDENTIFIER, "price_id", "product_id"),
        *_may(INTEGER, "quantity"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "amount", "discount_amount", "tax"),
        *_must(FLAG, "is_proration"),
        *_may(INSTANT, "period_start_at", "period_end_at"),
        *_OBJECT,
    ),
    owner="invoice_id",
)
CUSTOMERS = Table(
    "customers",
    (
        *_must(IDENTIFIER, "id"),
        *_may(CURRENCY, "currency"),
        *_may(FLAG, "delinquent"),
        *_must(INSTANT, "created_at"),
        *_OBJECT,
    ),
)
SUBSCRIPTIONS = Table(
    "subscriptions",
    (
        *_must(IDENTIFIER, "id"),
        *_may(IDENTIFIER, "customer_id"),
        *_must(CODE, "status"),
        *_may(CODE, "collection_method"),
        *_must(CURRENCY, "currency"),
        *_must(INSTANT, "created_at"),
        *_may(INSTANT, "start_at", "trial_start_at", "trial_end_at"),
        *_may(INSTANT, "current_period_start_at", "current_period_end_at", "cancel_at"),
        *_may(FLAG, "cancel_at_period_end"),
        *_may(INSTANT, "canceled_at", "ended_at"),
        *_OBJECT,
    ),
)
SUBSCRIPTION_ITEMS = Table(
    "subscription_items",
    (
        *_must(IDENTIFIER, "id", "subscription_id"),
        *_may(CHOSEN_IDENTIFIER, "price_id", "product_id"),
        *_may(CURRENCY, "currency"),
        *_may(INTEGER, "unit_amount"),
        *_may(NUMBER_TEXT, "unit_amount_decimal"),
        *_may(INTEGER, "quantity"),
        *_may(CODE, "interval"),
        *_may(INTEGER, "interval_count"),
        *_may(CODE, "usage_type"),
        *_may(INSTANT, "current_period_start_at", "current_period_end_at", "created_at"),
        *_OBJECT,
    ),
    owner="subscription_id",
)
RESOURCES = Table(
    "resources",
    (*_must(IDENTIFIER, "resource"), *_must(CODE, "state"), *_must(INSTANT, "checked_at")),
    key=("resource",),
)
QUARANTINE = Table(
    "quarantine",
    (
        *_must(CODE, "object"),
        *_must(IDENTIFIER, "id"),
        *_must(CODE, "field", "reason"),
        *_must(INSTANT, "fetched_at"),
    ),
    key=("object", "id", "field"),
)
TABLES = (INVOICES, INVOICE_LINES, CUSTOMERS, SUBSCRIPTIONS, SUBSCRIPTION_ITEMS, RESOURCES, QUARANTINE)
