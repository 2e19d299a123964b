"""Columns of the raw tables, and the check that each value passes before it is stored."""

import datetime as dt
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

LARGEST = 2**63 - 1
# From 1970 to the end of 9999, in seconds.
LAST_SECOND = 253402300799


@dataclass(frozen=True)
class Kind:
    """What a column may hold: an Arrow type, the Python types of the values, and what else is asked of all of them."""

    arrow: pa.DataType
    python: frozenset[type]
    suit: Callable[[Collection[Any]], bool]
    """Whether values of these types may be held; asked of many at once, which is many times as fast."""

    def accepts(self, values: Collection[Any]) -> bool:
        """Whether the column may hold each of these, none of them None."""
        return self.python.issuperset(map(type, values)) and (not values or self.suit(values))


def _text(pattern: str) -> Kind:
    """Text of a form."""
    has_form = re.compile(pattern).fullmatch
    return Kind(pa.string(), frozenset({str}), lambda values: all(map(has_form, set(values))))


def _are_whole(values: Collection[int]) -> bool:
    return min(values) >= -LARGEST and max(values) <= LARGEST


def _are_instants(values: Collection[Any]) -> bool:
    seconds = [value for value in values if isinstance(value, int)]
    return not seconds or (min(seconds) >= 0 and max(seconds) <= LAST_SECOND)


def as_instant(value: Any) -> dt.datetime | None:
    """The value of a column of instants, seconds since 1970 among them."""
    return dt.datetime.fromtimestamp(value, dt.UTC) if isinstance(value, int) else value


# Control characters, and halves of characters, which cannot be stored.
_NO_TEXT = r"\x00-\x1f\ud800-\udfff"
IDENTIFIER = _text(r"[A-Za-z0-9_.:/-]{1,255}")
# Ids of prices and products may have been chosen by the company: words, but never an e-mail address.
CHOSEN_IDENTIFIER = _text(rf"[^@{_NO_TEXT}]{{1,255}}")
CODE = _text(r"[a-z0-9_.]{1,100}")
CURRENCY = _text(r"[a-z]{3,10}")
NUMBER_TEXT = _text(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")
# Words of our own making, or what passed another check before.
WORDS = _text(rf"[^@{_NO_TEXT}]{{0,500}}")
INTEGER = Kind(pa.int64(), frozenset({int}), _are_whole)
FLAG = Kind(pa.bool_(), frozenset({bool}), lambda values: True)
# Seconds since 1970, or an instant of our own.
INSTANT = Kind(pa.timestamp("us", tz="UTC"), frozenset({int, dt.datetime}), _are_instants)


@dataclass(frozen=True)
class Column:
    """One column; a required one makes a row without it unusable."""

    name: str
    kind: Kind
    required: bool = False

    def accepts(self, values: list[Any]) -> bool:
        """Whether it may hold each of these."""
        if None not in values:
            return self.kind.accepts(values)
        return not self.required and self.kind.accepts([value for value in values if value is not None])


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
        return pa.schema([pa.field(column.name, column.kind.arrow) for column in self.columns])

    def faults(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, Reject]:
        """What is wrong with which of these rows, by its place; of each the first column that is."""
        faults: dict[int, Reject] = {}
        for column in self.columns:
            values = [row.get(column.name) for row in rows]
            if column.accepts(values):
                continue
            for place, value in enumerate(values):
                if place not in faults and not column.accepts([value]):
                    faults[place] = Reject("missing" if value is None else "unexpected", column.name)
        return faults

    def arrow(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """Rows as columns."""
        listed = list(rows)
        columns = [_array([row.get(column.name) for row in listed], column.kind) for column in self.columns]
        return pa.Table.from_arrays(columns, schema=self.schema)


def _array(values: list[Any], kind: Kind) -> pa.Array:
    if kind is not INSTANT:
        return pa.array(values, kind.arrow)
    if values and values.count(values[0]) == len(values):
        # Such as the moment of the request.
        return pa.repeat(pa.scalar(as_instant(values[0]), kind.arrow), len(values))
    if any(isinstance(value, dt.datetime) for value in values):
        return pa.array([as_instant(value) for value in values], kind.arrow)
    # By way of whole numbers, which is some hundred times as fast.
    return pa.array(values, pa.int64()).cast(pa.timestamp("s", tz="UTC")).cast(kind.arrow)
