"""Parquet files: typed columns, which must be able to mean what the mapping says they mean."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.errors import KpiError
from pipelines.sources.events.delimited import check_columns
from pipelines.sources.events.mapping import Mapping

ROWS_AT_ONCE = 20_000
RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"

Row = dict[str, Any]


def read_rows(
    stream: io.BufferedIOBase, mapping: Mapping, file_name: str
) -> Iterator[tuple[list[Row], list[str]]]:
    """Give the rows of a Parquet file, some at a time, with the names of its columns outside the mapping.

    Raises KpiError naming a required column that is missing or one whose type cannot mean its field.
    """
    file = pq.ParquetFile(stream)
    schema: pa.Schema = file.schema_arrow
    check_columns(schema.names, mapping, file_name)
    _check_types(schema, mapping, file_name)
    known = mapping.known[()]
    wanted = [name for name in schema.names if name in known]
    unknown = [name for name in schema.names if name not in known]
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=wanted):
        table = pa.Table.from_batches([batch])
        for position, column in enumerate(table.schema):
            if pa.types.is_timestamp(column.type):
                table = table.set_column(position, column.name, _texts(table.column(position)))
        yield table.to_pylist(), unknown


def row_bytes(row: Row) -> bytes:
    """Write a row for its hash."""
    return json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def _texts(instants: pa.ChunkedArray) -> pa.ChunkedArray:
    # Further digits are cut; a naive timestamp is UTC.
    return pc.strftime(instants.cast(pa.timestamp("us", "UTC"), safe=False), format=RFC_3339)


def _check_types(schema: pa.Schema, mapping: Mapping, file_name: str) -> None:
    for field, paths in mapping.paths.items():
        for path in paths:
            column_type = _type_at(schema, path)
            if column_type is not None and not _can_mean(field, column_type):
                raise KpiError(
                    f"{file_name}: column '{'.'.join(path)}' changed type: {field} cannot be {column_type};"
                    " nothing of the file was loaded.",
                    f"Write it as {_wanted(field)}, or correct the mapping in .dlt/config.toml.",
                )


def _type_at(schema: pa.Schema, path: tuple[str, ...]) -> pa.DataType | None:
    if path[0] not in schema.names:
        return None
    found: pa.DataType = schema.field(path[0]).type
    for name in path[1:]:
        if not pa.types.is_struct(found) or found.get_field_index(name) < 0:
            return None
        found = found.field(name).type
    return found.value_type if pa.types.is_dictionary(found) else found


def _can_mean(field: str, column_type: pa.DataType) -> bool:
    if _is_text(column_type) or pa.types.is_null(column_type) or field == "event_name":
        return True
    if field in {"occurred_at", "received_at"}:
        return bool(pa.types.is_timestamp(column_type))
    if field == "metadata":
        return bool(pa.types.is_struct(column_type))
    number = (
        pa.types.is_integer(column_type)
        or pa.types.is_decimal(column_type)
        or pa.types.is_floating(column_type)
    )
    return bool(number or (field == "is_test" and pa.types.is_boolean(column_type)))


def _is_text(column_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(column_type)
        or pa.types.is_large_string(column_type)
        or pa.types.is_string_view(column_type)
    )


def _wanted(field: str) -> str:
    if field in {"occurred_at", "received_at"}:
        return "a timestamp or text"
    if field == "metadata":
        return "a struct or JSON text"
    return "a boolean, a number or text" if field == "is_test" else "text or a number"
