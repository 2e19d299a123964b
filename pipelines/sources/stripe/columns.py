"""Columns of the raw tables, and the check that each value passes before it is stored."""

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
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


def text(pattern: str) -> Callable[[Any], str]:
    """Text of a form."""
    compiled = re.compile(pattern)

    @lru_cache(maxsize=4096)
    def has_form(value: str) -> bool:
        return compiled.fullmatch(value) is not None

    def read(value: Any) -> str:
        if not isinstance(value, str) or not has_form(value):
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


def _instant(value: Any) -> dt.datetime | int:
    if isinstance(value, dt.datetime):
        return value
    seconds = _integer(value)
    if not 0 <= seconds <= LAST_SECOND:
        raise ValueError
    return seconds


def as_instant(value: Any) -> dt.datetime | None:
    """The value of a column of instants, seconds since 1970 among them."""
    return dt.datetime.fromtimestamp(value, dt.UTC) if isinstance(value, int) else value


IDENTIFIER = Kind(pa.string(), text(r"[A-Za-z0-9_.:/-]{1,255}"))
# Ids of prices and products may have been chosen by the company: words, but never an e-mail address.
CHOSEN_IDENTIFIER = Kind(pa.string(), text(r"[^@\x00-\x1f]{1,255}"))
CODE = Kind(pa.string(), text(r"[a-z0-9_.]{1,100}"))
CURRENCY = Kind(pa.string(), text(r"[a-z]{3,10}"))
NUMBER_TEXT = Kind(pa.string(), text(r"-?\d{1,30}(\.\d{1,30})?"))
# Words of our own making, or what passed another check before.
WORDS = Kind(pa.string(), text(r"[^@\x00-\x1f]{0,500}"))
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
    """One raw table, merged on `key`, the copy requested last winning.

    With `owner` all rows of an owner are replaced together instead, so that one load holds each owner once.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("id",)
    owner: str | None = None

    @cached_property
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
        listed = list(rows)
        columns = [_array([row.get(column.name) for row in listed], column.kind) for column in self.columns]
        return pa.Table.from_arrays(columns, schema=self.schema)


def _array(values: list[Any], kind: Kind) -> pa.Array:
    if kind is not INSTANT:
        return pa.array(values, kind.type)
    if values and values.count(values[0]) == len(values):
        # Such as the moment of the request.
        return pa.repeat(pa.scalar(as_instant(values[0]), kind.type), len(values))
    if any(isinstance(value, dt.datetime) for value in values):
        return pa.array([as_instant(value) for value in values], kind.type)
    # By way of whole numbers, which is some hundred times as fast.
    return pa.array(values, pa.int64()).cast(pa.timestamp("s", tz="UTC")).cast(kind.type)
