"""What real event files hold besides good events: test traffic, strangers, plans not kept, broken lines."""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from pipelines.demo.calendar import DAY, HOUR, MINUTE, SECOND, WINDOW_DAYS, Company, as_datetime
from pipelines.demo.camera import error_code
from pipelines.demo.events import Delivery, Event, as_object

# Far above the ids of users' events.
FIRST_EVENT_ID = 7_000_000_000_000
EVENTS_A_DAY = 100_000
# Each of these comes once in every window, whenever one looks; not on the days that come as CSV and Parquet.
EVERY = WINDOW_DAYS
MALFORMED, CONFLICT, INCOMPLETE, UNKNOWN_FIELDS, IMPLAUSIBLE = 97, 101, 109, 113, 118


def deliveries(company: Company) -> Iterator[Delivery]:
    """Yield the odd lines of every day that is written in full, each with the fate it should meet."""
    for day in range(max(company.first_day, 0), company.last_day + 1):
        maker = _OddDay(company, day)
        for part in (
            maker.guests,
            maker.unknown_fields,
            maker.page_views,
            maker.quality_assurance,
            maker.strange_statuses,
            maker.accounts_of_nobody,
            maker.conflict,
            maker.malformed,
            maker.incomplete,
            maker.implausible,
        ):
            yield from _up_to(company.now, part)


def _up_to(now: int, part: Callable[[], Iterator[Delivery]]) -> Iterator[Delivery]:
    return (line for line in part() if line.received < now)


class _OddDay:
    def __init__(self, company: Company, day: int) -> None:
        self.day = day
        self.chance = Random(f"oddities {day}")
        self.start = company.start_of(day)
        self.next_id = FIRST_EVENT_ID + day * EVENTS_A_DAY

    def event(self, event_key: str, hour: float, **fields: Any) -> Event:
        """Make an event of this day that comes in two seconds later."""
        self.next_id += 1
        occurred = self.start + int(hour * HOUR)
        values = {"user_id": None, "occurred": occurred, "received": occurred + 2 * SECOND}
        return Event(event_id=self.next_id, event_key=event_key, **values | fields)

    def test(self, session_id: str, hour: float, code: str | None, **fields: Any) -> Event:
        """Make a test."""
        metadata = {"session_id": session_id, "status": "error" if code else "success"}
        if code:
            metadata["error_code"] = code
        return self.event("test_completed", hour, metadata=metadata, **fields)

    def guests(self) -> Iterator[Delivery]:
        """Tests without a user."""
        for number in range(self.chance.randrange(4, 10)):
            hour = self.chance.uniform(0.1, 23.8)
            code = error_code(self.chance, self.day, 0.6)
            event = self.test(f"guest-{self.day}-{number}", hour, code, service_key="web_demo", offset=60)
            yield Delivery(event.received, "counted", event)

    def unknown_fields(self) -> Iterator[Delivery]:
        """Events with fields that nobody has agreed upon, a mail address among them."""
        if self.day % EVERY == UNKNOWN_FIELDS:
            for number in range(5):
                event = self.test(
                    f"beta-{self.day}-{number}", 6.5 + number / 10, None, service_key="web_demo"
                )
                whole = as_object(event) | {"app_build": "2.0-beta", "contact": f"guest{number}@example.com"}
                yield Delivery(event.received, "counted", whole)

    def page_views(self) -> Iterator[Delivery]:
        """Events that the plan gives no role."""
        for _ in range(self.chance.randrange(20, 40)):
            hour = self.chance.uniform(0.1, 23.8)
            event = self.event("page_viewed", hour, service_key="web_demo")
            yield Delivery(event.received, "no_role", event)

    def quality_assurance(self) -> Iterator[Delivery]:
        """Test traffic, flagged in each way that counts as a flag."""
        for number, flag in enumerate((True, "true", 1, "YES", True, True)):
            code = error_code(self.chance, self.day, 0.3)
            fields = {"user_id": 1 + number % 4, "is_test": flag, "service_key": "staging_app"}
            event = self.test(f"qa-{self.day}", 8 + number / 60, code, **fields)
            yield Delivery(event.received, "flagged", event)

    def strange_statuses(self) -> Iterator[Delivery]:
        """Tests that were neither passed nor failed."""
        if self.day % 3 == 0:
            metadata = {"session_id": f"aborted-{self.day}", "status": "aborted"}
            event = self.event("test_completed", 9.5, metadata=metadata)
            yield Delivery(event.received, "bad_status", event)

    def accounts_of_nobody(self) -> Iterator[Delivery]:
        """Accounts without a user."""
        if self.day % 9 == 4:
            event = self.event("account_created", 10.25)
            yield Delivery(event.received, "no_user", event)

    def conflict(self) -> Iterator[Delivery]:
        """One event that is told in two ways: the one that came in first counts."""
        if self.day % EVERY == CONFLICT:
            event = self.test(f"disputed-{self.day}", 7, None)
            yield Delivery(event.received, "counted", event)
            metadata = {
                "session_id": f"disputed-{self.day}",
                "status": "error",
                "error_code": "analysis_error",
            }
            other = event._replace(received=event.received + HOUR, metadata=metadata)
            yield Delivery(other.received, "conflict", other)

    def malformed(self) -> Iterator[Delivery]:
        """Lines that are no JSON object: cut off, with NaN, a list."""
        if self.day % EVERY == MALFORMED:
            event = self.test(f"broken-{self.day}", 5, None)
            text = json.dumps(as_object(event))
            for line in (text[: len(text) // 2], text.replace("false", "NaN", 1), f"[{text}]"):
                yield Delivery(event.received, "malformed", line)

    def incomplete(self) -> Iterator[Delivery]:
        """Objects that lack what makes an event, or say it in a way that cannot be read."""
        if self.day % EVERY == INCOMPLETE:
            event = self.test(f"incomplete-{self.day}", 5.5, None)
            whole = as_object(event)
            for change in ({"event_id": None}, {"occurred_at": "yesterday"}, {"is_test": "perhaps"}):
                yield Delivery(event.received, "incomplete", whole | change)

    def implausible(self) -> Iterator[Delivery]:
        """Events of phones whose clocks stand in another century, or in next year."""
        if self.day % EVERY == IMPLAUSIBLE:
            event = self.test(f"clock-{self.day}", 6, None)
            for occurred in (
                "1970-01-01T00:00:07+00:00",
                as_datetime(event.received + 400 * DAY).isoformat(),
            ):
                yield Delivery(
                    event.received + MINUTE, "implausible", as_object(event) | {"occurred_at": occurred}
                )
