"""The raw tables of events: their columns, once for Arrow and once for dlt."""

from typing import Any

import pyarrow as pa

TEXT = pa.string()
CODED = pa.dictionary(pa.int32(), pa.string())
"""Text with few different values, written once for each of them."""
INSTANT = pa.timestamp("us", tz="UTC")

LOAD = [pa.field("loaded_at", INSTANT, nullable=False), pa.field("_dlt_load_id", CODED, nullable=False)]

READ_EVENTS = pa.schema(
    [
        pa.field("event_id", TEXT, nullable=False),
        pa.field("event_key", CODED, nullable=False),
        pa.field("service_key", CODED),
        pa.field("user_key", CODED),
        pa.field("record_key", pa.int64()),
        pa.field("session_id", TEXT),
        pa.field("status", CODED),
        pa.field("error_code", CODED),
        pa.field("is_test", pa.bool_(), nullable=False),
        pa.field("occurred_at", INSTANT, nullable=False),
        pa.field("received_at", INSTANT),
        pa.field("line_number", pa.int64(), nullable=False),
    ]
)
"""Events as a reader gives them, before file and load are added."""

EVENTS = pa.schema(
    [*list(READ_EVENTS)[:-1], pa.field("source_file", CODED, nullable=False), READ_EVENTS[-1], *LOAD]
)

QUARANTINE = pa.schema(
    [
        pa.field("source_file", CODED, nullable=False),
        pa.field("line_number", pa.int64(), nullable=False),
        pa.field("reason", CODED, nullable=False),
        pa.field("field", CODED),
        pa.field("line_hash", TEXT, nullable=False),
        pa.field("event_id", TEXT),
        *LOAD,
    ]
)

FILES = pa.schema(
    [
        pa.field("source_file", TEXT, nullable=False),
        pa.field("size_bytes", pa.int64()),
        pa.field("modified_at", INSTANT),
        pa.field("lines", pa.int64(), nullable=False),
        pa.field("events", pa.int64(), nullable=False),
        pa.field("quarantined", pa.int64(), nullable=False),
        pa.field("unknown_fields", pa.int64(), nullable=False),
        pa.field("unknown_field_names", TEXT),
        *LOAD,
    ]
)

KEY_FINGERPRINTS = pa.schema(
    [
        pa.field("user_key", TEXT, nullable=False),
        pa.field("record_key", TEXT, nullable=False),
        *LOAD,
    ]
)

ERASURES = pa.schema(
    [
        pa.field("erasure_id", TEXT, nullable=False),
        pa.field("erased_at", INSTANT, nullable=False),
        *LOAD,
    ]
)
"""Users whose events are never stored again. Written by pipelines/privacy/forget.py, never by a load."""

ALL = {
    "events": EVENTS,
    "quarantine": QUARANTINE,
    "files": FILES,
    "key_fingerprints": KEY_FINGERPRINTS,
    "erasures": ERASURES,
}

FROZEN = {"tables": "evolve", "columns": "freeze", "data_type": "freeze"}
"""dlt's contract of every table here: another column or type is an error, not a new column."""


def dlt_columns(schema: pa.Schema) -> dict[str, Any]:
    """Describe the columns of an Arrow schema to dlt."""
    return {field.name: {"data_type": _dlt_type(field.type), "nullable": field.nullable} for field in schema}


def _dlt_type(arrow_type: pa.DataType) -> str:
    if pa.types.is_timestamp(arrow_type):
        return "timestamp"
    if pa.types.is_boolean(arrow_type):
        return "bool"
    return "bigint" if pa.types.is_integer(arrow_type) else "text"
