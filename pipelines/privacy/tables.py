"""Tables of an export: one writer for all formats, and one reader that holds them against each other."""

import csv
import datetime as dt
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

FORMATS = ("csv", "parquet")

_ARROW = {
    "string": pa.string(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "boolean": pa.bool_(),
    "numeric": pa.decimal128(38, 9),
}
TYPES = tuple(_ARROW)
"""The types of published columns."""


class TableError(ValueError):
    """A file is not the table that it should be; the message says in what."""


@dataclass(frozen=True)
class Table:
    """Rows with named and typed columns."""

    name: str
    columns: tuple[tuple[str, str], ...]
    """Name and type of each column, in order."""
    rows: tuple[tuple[Any, ...], ...]

    def column_names(self) -> list[str]:
        """Give the names of the columns in order."""
        return [name for name, _ in self.columns]

    def dicts(self) -> list[dict[str, Any]]:
        """Give each row by column."""
        names = self.column_names()
        return [dict(zip(names, row, strict=True)) for row in self.rows]

    def content(self, form: str) -> bytes:
        """Write the table in one format; the same rows give the same bytes."""
        return self._csv() if form == "csv" else self._parquet()

    def _csv(self) -> bytes:
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.column_names())
        writer.writerows([printed(value) for value in row] for row in self.rows)
        return stream.getvalue().encode()

    def _parquet(self) -> bytes:
        schema = pa.schema([pa.field(name, _ARROW[kind]) for name, kind in self.columns])
        columns = [
            pa.array([row[place] for row in self.rows], type=field.type) for place, field in enumerate(schema)
        ]
        stream = io.BytesIO()
        pq.write_table(
            pa.Table.from_arrays(columns, schema=schema), stream, compression="snappy", store_schema=False
        )
        return stream.getvalue()


def printed(value: Any) -> str:
    """Write one value as CSV shows it: instants in UTC, floats with every digit they need, NULL as nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value.normalize() if value else Decimal(0), "f")
    return str(value)


def disagreement(found: object, expected: float | None) -> str | None:
    """Say how a published number is not the one it should be; None where it is, but for the last digits of a sum."""
    if found is None and expected is None:
        return None
    if (
        isinstance(found, int | float)
        and not isinstance(found, bool)
        and expected is not None
        and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    ):
        return None
    given = "nothing" if expected is None else printed(expected)
    return f"'{printed(found)}' has no explanation: its derivation gives {given}"


def read_parquet(name: str, content: bytes) -> Table:
    """Read a Parquet file. Raises TableError where it is none, or has a type that exports do not have."""
    try:
        found = pq.read_table(io.BytesIO(content))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise TableError(f"is no Parquet file ({type(error).__name__})") from None
    columns = tuple((field.name, _kind(field)) for field in found.schema)
    values = [column.to_pylist() for column in found.columns]
    return Table(name, columns, tuple(zip(*values, strict=True)))


def _kind(field: pa.Field) -> str:
    for kind, arrow in _ARROW.items():
        if field.type == arrow or (kind == "string" and pa.types.is_large_string(field.type)):
            return kind
    raise TableError(f"has a column {field.name} of type {field.type}")


def csv_cells(content: bytes) -> list[list[str]]:
    """Read a CSV file as text, the line of names included. Raises TableError where it is none."""
    try:
        return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"is no CSV file ({type(error).__name__})") from None


def differences(table: Table, cells: Sequence[Sequence[str]]) -> list[tuple[int | None, str | None, str]]:
    """Hold CSV cells against the table: row (from 1), column and what differs, for each place where it does."""
    names = table.column_names()
    if not cells or list(cells[0]) != names:
        return [(None, None, "the CSV file has other columns than the Parquet file")]
    if len(cells) - 1 != len(table.rows):
        return [
            (None, None, f"the CSV file has {len(cells) - 1} rows, the Parquet file {len(table.rows)}"),
        ]
    found: list[tuple[int | None, str | None, str]] = []
    for number, (texts, row) in enumerate(zip(cells[1:], table.rows, strict=True), start=1):
        if len(texts) != len(names):
            found.append((number, None, f"the row has {len(texts)} cells instead of {len(names)}"))
            continue
        found += [
            (number, name, f"the CSV file says '{text}', the Parquet file '{printed(value)}'")
            for name, text, value in zip(names, texts, row, strict=True)
            if text != printed(value)
        ]
    return found
