"""Small histories, written by hand."""

import json
from datetime import date

from reference import Line, Row, Settled, report, settle

ROLES = {"account_created": "account_created", "test_finished": "test"}
ERROR_TYPES = {
    "no_period_history": "no_period_history",
    "camera_too_far": "camera_too_far",
    "camera_too_close": "camera_too_close",
    "analysis_error": "analysis_error",
    "test_lines_not_found": "test_lines_not_found",
    "test_not_found": "test_not_found",
    "E-17": "analysis_error",
}


def line(event_id: object, occurred_at: str, **fields: object) -> bytes:
    """One test unless `event_key` says otherwise."""
    event = {"event_id": event_id, "event_key": "test_finished", "occurred_at": occurred_at} | fields
    return json.dumps(event).encode()


def success(event_id: str, occurred_at: str, user_id: object = "ada", **fields: object) -> bytes:
    return line(event_id, occurred_at, user_id=user_id, status="success", **fields)


def failure(event_id: str, occurred_at: str, user_id: object = "ada", **fields: object) -> bytes:
    return line(event_id, occurred_at, user_id=user_id, status="error", **fields)


def account(event_id: str, occurred_at: str, user_id: object = "ada", **fields: object) -> bytes:
    return line(event_id, occurred_at, event_key="account_created", user_id=user_id, **fields)


def settled(*raw: bytes) -> Settled:
    return settle(Line("events.jsonl", number, content) for number, content in enumerate(raw, start=1))


def marts(
    *raw: bytes, on: str, zone: str = "UTC", roles: dict[str, str] = ROLES, periods: int = 12
) -> dict[str, list[Row]]:
    return report(settled(*raw), date.fromisoformat(on), zone, roles, ERROR_TYPES, periods)


def newest(rows: list[Row], *columns: str) -> tuple[object, ...]:
    """The columns of the newest period."""
    return tuple(rows[-1][column] for column in columns)


def series(rows: list[Row], column: str) -> list[object]:
    """One column, oldest period first."""
    return [row[column] for row in rows]
