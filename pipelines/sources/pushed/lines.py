"""Reads the lines of the inbox back: a value that was accepted, or a row that was not."""

import datetime as dt
import json
from decimal import Decimal, InvalidOperation
from typing import Any

from pipelines.sources.pushed.values import ID, METRIC_KEY, PushedValue, RejectedRow, Unfit


def read_line(line: bytes) -> PushedValue | RejectedRow:
    """Read one line; raise Unfit where it is none of ours, such as one that a person wrote there."""
    try:
        content = json.loads(line)
    except (ValueError, RecursionError):
        raise Unfit("malformed", None, "the line is no JSON") from None
    if not isinstance(content, dict):
        raise Unfit("malformed", None, "the line is no JSON object")
    received_at = _instant(content, "received_at")
    if "rejected" in content:
        return RejectedRow(
            _text(content, "source_file"),
            _number(content, "line_number"),
            _text(content, "rejected"),
            _text(content, "field") if content.get("field") else None,
            _text(content, "line_hash"),
            received_at,
        )
    pushed_id, metric_key = _text(content, "pushed_id"), _text(content, "metric_key")
    if not ID.fullmatch(pushed_id):
        raise Unfit("unreadable", "pushed_id", "the id has not the form of one")
    if not METRIC_KEY.fullmatch(metric_key):
        raise Unfit("unreadable", "metric_key", "the metric key has not the form of one")
    return PushedValue(
        pushed_id,
        metric_key,
        _value(content),
        _instant(content, "measured_at"),
        received_at,
        content.get("is_timed") is True,
    )


def _text(content: dict[str, Any], field: str) -> str:
    found = content.get(field)
    if not isinstance(found, str) or not found:
        raise Unfit("malformed", field, f"{field} is no text")
    return found


def _number(content: dict[str, Any], field: str) -> int:
    found = content.get(field)
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 1 << 62:
        raise Unfit("malformed", field, f"{field} is no number of a line")
    return found


def _value(content: dict[str, Any]) -> Decimal:
    try:
        found = Decimal(_text(content, "value"))
    except InvalidOperation:
        raise Unfit("unreadable", "value", "the value is no number") from None
    if not found.is_finite() or (found and not -9 <= found.adjusted() < 29):
        raise Unfit("out_of_range", "value", "the value cannot be stored")
    return found


def _instant(content: dict[str, Any], field: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(_text(content, field))
    except ValueError:
        raise Unfit("unreadable", field, f"{field} is no instant") from None
    if found.tzinfo is None:
        raise Unfit("unreadable", field, f"{field} has no offset")
    try:
        return found.astimezone(dt.UTC)
    except OverflowError:
        raise Unfit("out_of_range", field, f"{field} cannot be stored") from None
