"""What an event of the made-up company is, and what becomes of its line."""

from typing import Any, NamedTuple

from pipelines.demo.calendar import as_datetime


class Event(NamedTuple):
    """One event. Instants in ms since 1970 UTC, the offset of the phone's clock in minutes."""

    event_id: int
    event_key: str
    user_id: int | None
    occurred: int
    received: int
    offset: int = 0
    metadata: dict[str, str] | None = None
    is_test: bool | str | int = False
    service_key: str | None = "mobile_app"


class Delivery(NamedTuple):
    """One line of a file: when it came in, what it says, what should become of it."""

    received: int
    fate: str
    content: Event | dict[str, Any] | str
    """A string is a line that is no JSON at all."""


NAMES = {
    "account_created": "Account created",
    "test_completed": "Test completed",
    "app_opened": "App opened",
    "page_viewed": "Page viewed",
}


def as_object(event: Event) -> dict[str, Any]:
    """Write an event in the native form."""
    return {
        "event_id": event.event_id,
        "event_key": event.event_key,
        "event_name": NAMES[event.event_key],
        "service_key": event.service_key,
        "user_id": event.user_id,
        "occurred_at": as_datetime(event.occurred, event.offset).isoformat(timespec="milliseconds"),
        "received_at": as_datetime(event.received).isoformat(timespec="milliseconds"),
        "is_test": event.is_test,
        "metadata": event.metadata or {},
    }
