"""Values as Google's SQL engine writes them, and their types by BigQuery's names."""

import datetime as dt
import json
from decimal import Context, Decimal
from typing import Any, TypeAlias

from zetasql.wasi._pb2.zetasql.public import type_pb2, value_pb2

EPOCH = dt.date(1970, 1, 1)
EPOCH_INSTANT = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
DECIMALS = {"numeric_value": 9, "bignumeric_value": 38}
"""Digits behind the point of the exact types."""
EXACT = Context(prec=90)

_KINDS = {
    "INT64": type_pb2.TYPE_INT64,
    "BOOL": type_pb2.TYPE_BOOL,
    "FLOAT64": type_pb2.TYPE_DOUBLE,
    "STRING": type_pb2.TYPE_STRING,
    "BYTES": type_pb2.TYPE_BYTES,
    "DATE": type_pb2.TYPE_DATE,
    "TIMESTAMP": type_pb2.TYPE_TIMESTAMP,
    "TIME": type_pb2.TYPE_TIME,
    "DATETIME": type_pb2.TYPE_DATETIME,
    "NUMERIC": type_pb2.TYPE_NUMERIC,
    "BIGNUMERIC": type_pb2.TYPE_BIGNUMERIC,
    "JSON": type_pb2.TYPE_JSON,
    "INTERVAL": type_pb2.TYPE_INTERVAL,
    "GEOGRAPHY": type_pb2.TYPE_GEOGRAPHY,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_SYNONYMS = {
    **{"INT": "INT64", "INTEGER": "INT64", "BIGINT": "INT64", "SMALLINT": "INT64", "BOOLEAN": "BOOL"},
    **{"DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC", "FLOAT": "FLOAT64"},
}

Type: TypeAlias = Any
"""A type as the engine writes it (TypeProto)."""


def type_of(name: str) -> Type:
    """The type that BigQuery calls by a name, such as `INT64` or `integer`; size and precision left out."""
    bare = name.split("(")[0].strip().upper()
    return type_pb2.TypeProto(type_kind=_KINDS[_SYNONYMS.get(bare, bare)])


def name_of(type_: Type) -> str:
    """BigQuery's name of a type, such as `ARRAY<DATE>`."""
    if type_.type_kind == type_pb2.TYPE_ARRAY:
        return f"ARRAY<{name_of(type_.array_type.element_type)}>"
    if type_.type_kind == type_pb2.TYPE_STRUCT:
        fields = ", ".join(
            f"{each.field_name} {name_of(each.field_type)}".strip() for each in type_.struct_type.field
        )
        return f"STRUCT<{fields}>"
    return _NAMES[type_.type_kind]


def encoded(value: Any, type_: Type) -> value_pb2.ValueProto:
    """A value of Python as the engine reads it; None is NULL."""
    found = value_pb2.ValueProto()
    if value is None:
        return found
    match name_of(type_):
        case "INT64":
            found.int64_value = value
        case "BOOL":
            found.bool_value = value
        case "FLOAT64":
            found.double_value = value
        case "STRING":
            found.string_value = value
        case "BYTES":
            found.bytes_value = value
        case "DATE":
            found.date_value = (value - EPOCH).days
        case "TIMESTAMP":
            microseconds = (value - EPOCH_INSTANT) // MICROSECOND
            found.timestamp_value.seconds = microseconds // 10**6
            found.timestamp_value.nanos = microseconds % 10**6 * 1000
        case "NUMERIC" | "BIGNUMERIC" as name:
            field = f"{name.lower()}_value"
            scaled = int(EXACT.scaleb(Decimal(value), DECIMALS[field]))
            size = (scaled if scaled >= 0 else ~scaled).bit_length() // 8 + 1
            setattr(found, field, scaled.to_bytes(size, "little", signed=True))
        case name:
            raise NotImplementedError(name)
    return found


def decoded(value: value_pb2.ValueProto) -> Any:
    """A value of the engine as Python has it: instants in UTC, exact numbers as Decimal, arrays as lists."""
    field = value.WhichOneof("value")
    if field is None:
        return None
    found = getattr(value, field)
    match field:
        case "date_value":
            return EPOCH + dt.timedelta(found)
        case "timestamp_value":
            return EPOCH_INSTANT + dt.timedelta(seconds=found.seconds, microseconds=found.nanos // 1000)
        case "numeric_value" | "bignumeric_value":
            number = Decimal(int.from_bytes(found, "little", signed=True))
            return EXACT.scaleb(number, -DECIMALS[field])
        case "array_value":
            return [decoded(each) for each in found.element]
        case "struct_value":
            return tuple(decoded(each) for each in found.field)
        case "timestamp_picos_value" | "datetime_value" | "proto_value":
            raise NotImplementedError(field)
    return found


def literal(value: Any, type_: str) -> str:
    """A value of Python as SQL."""
    if value is None:
        return f"cast(null as {type_})"
    match type_:
        case "STRING":
            return json.dumps(value)
        case "TIMESTAMP" | "DATE":
            return f"{type_} '{value.isoformat()}'"
        case "INT64" | "FLOAT64" | "BOOL":
            return str(value)
    raise NotImplementedError(type_)
