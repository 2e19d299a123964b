"""Histories of events as hard as they come, in the native form, and ways to lay them out over files.

A history stands on a clock: a reporting zone and instants around which its days are peculiar. Ids, users,
sessions and instants come from small pools, so that copies, conflicts and equal times are the rule; the
same value is written in many ways.
"""

import gzip
import json
import random
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import count
from typing import Protocol, TypeVar

from hypothesis import strategies as st

Token = str | None
"""A value as it stands in the line; None where the field is left out."""

Chosen = TypeVar("Chosen")


class Choose(Protocol):
    """Picks one of a pool."""

    def __call__(self, pool: tuple[Chosen, ...], /) -> Chosen: ...


@dataclass(frozen=True)
class Clock:
    """A reporting zone, a report date, and instants (UTC) close to which days begin, end or are missing."""

    timezone: str
    report_date: date
    anchors: tuple[datetime, ...]


@dataclass(frozen=True)
class History:
    """Lines without line breaks, in the order in which they were made up."""

    clock: Clock
    lines: tuple[bytes, ...]


def _clock(zone: str, report_date: str, *anchors: str) -> Clock:
    moments = tuple(datetime.fromisoformat(anchor).replace(tzinfo=UTC) for anchor in anchors)
    return Clock(zone, date.fromisoformat(report_date), moments)


CLOCKS = (
    # A week over two years, reported in the new one.
    _clock(
        "UTC", "2026-01-04", "2026-01-01T00:00", "2026-01-05T00:00", "2025-12-29T00:00", "2025-02-01T00:00"
    ),
    # Both changes of the clock, at 01:00 UTC; midnight at 23:00 in winter and 22:00 in summer.
    _clock("Europe/Berlin", "2025-03-31", "2025-03-29T23:00", "2025-03-30T22:00", "2025-03-30T01:00"),
    _clock("Europe/Berlin", "2024-10-28", "2024-10-26T22:00", "2024-10-27T23:00", "2024-10-27T01:00"),
    # No 30 December: from the 29th, 24:00 at -10, straight to the 31st, 00:00 at +14.
    _clock("Pacific/Apia", "2011-12-31", "2011-12-30T10:00", "2011-12-31T10:00", "2011-12-29T10:00"),
    # A day without a midnight, and (in February) one with two.
    _clock("America/Sao_Paulo", "2018-11-05", "2018-11-04T03:00", "2018-11-05T02:00", "2018-02-18T02:00"),
    # A leap day, in a zone 5:45 ahead.
    _clock("Asia/Kathmandu", "2024-03-01", "2024-02-28T18:15", "2024-02-29T18:15", "2023-12-31T18:15"),
    # Close to the first plausible instant, in a zone 14 hours ahead.
    _clock("Pacific/Kiritimati", "2000-02-01", "2000-01-31T10:00", "2000-02-01T10:00", "2000-01-13T10:00"),
)

_STEPS = (
    *((timedelta(),) * 8),
    timedelta(microseconds=-1),
    timedelta(microseconds=1),
    timedelta(seconds=-1),
    timedelta(seconds=1),
    timedelta(minutes=30),
    timedelta(hours=-1),
    timedelta(hours=1),
    timedelta(days=-1),
    timedelta(days=1),
    timedelta(days=-2),
    timedelta(days=-7),
    timedelta(days=-11),
    timedelta(days=-12),
    timedelta(days=-31),
    timedelta(days=-80),
    timedelta(days=-400),
)

_PAUSES = (
    timedelta(),
    timedelta(microseconds=1),
    timedelta(minutes=1),
    timedelta(minutes=40),
    timedelta(hours=9),
)

_DELAYS = (
    timedelta(),
    timedelta(seconds=1),
    timedelta(hours=1),
    timedelta(days=3),
    timedelta(days=366),
    # Dated a day ahead of its arrival, which is allowed, and a microsecond more, which is not.
    timedelta(days=-1),
    timedelta(days=-1, microseconds=-1),
)

_KEYS = (
    *(("test_completed",) * 18),
    *(("account_created",) * 5),
    "page_view",
    "Test_Completed",
    "ada@mail.example",
)
_STATUSES = (*(("success",) * 9), *(("error",) * 12), "Success", "started", "so so", "")
_CODES = (
    *("", "", "no_period_history", "camera_too_far", "camera_too_close", "analysis_error"),
    *("test_lines_not_found", "test_not_found", "Camera_Too_Far", "404", "no light!", "é", "x" * 65),
)
_USERS = (
    *("", "", "Ada", "Ada", "Ada", "Ada", "Ada", "7", "7", "7"),
    *("8", "ada", "zo\u00eb", "\u212bsa", "12345678901234567890", "12345678901234567891"),
)
_SESSIONS = ("", "", *(("s",) * 10), "S", "2", "s\u00e9ance", "20000000000000000000001")
_SERVICES = ("", "app", "web", "App", "7", "s" * 129)
_FLAGS: tuple[Token, ...] = (
    *((None,) * 80),
    *("null", "false", "0", '""', '" "', '"No"', '"FALSE"', '"0"'),
    *("true", "1", "1.0", '"yes"', '"TRUE"', '"1"'),
    *('"perhaps"', "2", "[]"),
)

_BROKEN = (
    b"nonsense",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b'{"event_id": NaN}',
    b'{"event_id": "e1", "event_id": "e1"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2025-01-01T00:00:00Z", "metadata": {"a": 1, "a": 1}}',
    b'{"event_id": 01}',
    b'{"event_id": "\xff"}',
    b"{'event_id': 'e1'}",
    b'{"event_id": "e1",}',
    b'{"event_id": "e1"} {"event_id": "e2"}',
    b"{}",
    b'{"event_id": "e1"}',
    b'{"event_id": " ", "event_key": "test_completed", "occurred_at": "2025-01-01T00:00:00Z"}',
    b'{"event_id": true, "event_key": "test_completed", "occurred_at": "2025-01-01T00:00:00Z"}',
    b'{"event_id": ["e1"], "event_key": "test_completed", "occurred_at": "2025-01-01T00:00:00Z"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2025-01-01"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2025-12-31T23:59:60Z"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2025-12-31T24:00:00Z"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2025-02-29T00:00:00Z"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2025-01-01T00:00:00+25:00"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": 1735689600}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "1999-12-31T23:59:59.9999999Z"}',
    b'{"event_id": "e1", "event_key": "test_completed", "occurred_at": "2100-01-01T00:00:00Z"}',
)


@st.composite
def histories(draw: st.DrawFn, clock: Clock, *, events: int = 30) -> History:
    """Draw a history of up to `events` events, some of them delivered several times, and broken lines."""

    def choose(pool: tuple[Chosen, ...], /) -> Chosen:
        return pool[draw(st.integers(0, len(pool) - 1))]

    return _history(choose, clock, draw(st.integers(1, events)))


def large_history(clock: Clock, seed: int, *, events: int) -> History:
    """Make up a history of `events` events, larger than can well be drawn."""
    return _history(random.Random(seed).choice, clock, events)


def _history(choose: Choose, clock: Clock, events: int) -> History:
    lines: list[bytes] = []
    # Fewer ids than events: some are taken twice.
    numbers = tuple(range(events * 4 // 3))
    unused = count(len(numbers))
    for _ in range(events):
        number = choose(numbers)
        event = _event(choose, number, clock)
        lines.append(_line(choose, event))
        follows = choose(("copy", "change", "broken", "retries", "namesake", "none", "none", "none"))
        if follows == "copy":
            lines.append(_line(choose, event))
        elif follows == "change":
            lines.append(_line(choose, event | _another(choose, number, clock)))
        elif follows == "broken":
            lines.append(choose(_BROKEN))
        elif follows == "retries":
            event |= {"event_key": "test_completed"}
            for _ in range(choose((2, 3, 7))):
                event |= _retry(choose, event, next(unused))
                lines.append(_line(choose, event))
        elif follows == "namesake":
            # A test without a session, and a session that is called what this test is called.
            name = _event_id(next(unused))
            event |= {"event_key": "test_completed", "event_id": name, "session_id": ""}
            lines.append(_line(choose, event))
            lines.append(_line(choose, event | {"event_id": _event_id(next(unused)), "session_id": name}))
    return History(clock, tuple(lines))


def _event_id(number: int) -> str:
    """Ids whose order as text differs by code point, by UTF-16 unit, by language and by number."""
    return ("{}", "e{}", "E{}", "\u00e9{}", "\U0001f600{}", "\uffee{}", "1{}")[number % 7].format(number)


@dataclass(frozen=True)
class _Moment:
    at: datetime


_Event = dict[str, "str | _Moment | None"]


def _event(choose: Choose, number: int, clock: Clock) -> _Event:
    occurred_at = _moment(choose, clock)
    received = (None, "not known", _Moment(occurred_at + choose(_DELAYS)), _Moment(clock.anchors[0]))
    return {
        "event_id": _event_id(number),
        "event_key": choose(_KEYS),
        "occurred_at": _Moment(occurred_at),
        "received_at": received[choose((0, 0, 0, 1, 2, 2, 2, 2, 3))],
        "service_key": choose(_SERVICES),
        "user_id": _of_group(choose(_USERS), number),
        "session_id": _of_group(choose(_SESSIONS), number),
        "status": choose(_STATUSES),
        "error_code": choose(_CODES),
    }


def _of_group(name: str, number: int) -> str:
    """Users and sessions grow with the history, and some of them meet in any hundred of its events."""
    group = number // 96
    return f"{name}{group}" if name and group else name


def _another(choose: Choose, number: int, clock: Clock) -> _Event:
    """One field in which a second arrival may differ: most make a conflict, received_at a duplicate."""
    changes: tuple[_Event, ...] = (
        {"user_id": _of_group(choose(_USERS), number)},
        {"status": choose(_STATUSES)},
        {"error_code": choose(_CODES)},
        {"session_id": _of_group(choose(_SESSIONS), number)},
        {"service_key": choose(_SERVICES)},
        {"event_key": choose(_KEYS)},
        {"occurred_at": _Moment(_moment(choose, clock))},
        {"received_at": _Moment(_moment(choose, clock) + timedelta(days=400))},
        {"received_at": None},
    )
    return choose(changes)


def _retry(choose: Choose, event: _Event, number: int) -> _Event:
    """The next test of the same session: at the same instant, soon after, or over midnight."""
    last = event["occurred_at"]
    assert isinstance(last, _Moment)
    return {
        "event_id": _event_id(number),
        "occurred_at": _Moment(last.at + choose(_PAUSES)),
        "received_at": None,
        "status": choose(("error", "error", "error", "success")),
        "error_code": choose(_CODES),
    }


def _moment(choose: Choose, clock: Clock) -> datetime:
    return choose(clock.anchors) + choose(_STEPS) + choose(_STEPS)


def _line(choose: Choose, event: _Event) -> bytes:
    """Write an event down, each field in one of its spellings."""
    fields: dict[str, Token] = {name: _spelled(choose, value) for name, value in event.items()}
    fields["is_test"] = choose(_FLAGS)
    nested = {name: fields[name] for name in ("session_id", "status", "error_code")}
    place = choose((0, 0, 1, 2))
    if place == 0:
        fields = {name: token for name, token in fields.items() if name not in nested}
    if place == 2:
        # What metadata says comes before the top level.
        fields["session_id"] = (
            choose(('"elsewhere"', "null", fields["session_id"])) if nested["session_id"] else None
        )
    if place != 1:
        noise: dict[str, Token] = {"email": '"ada@mail.example"', "odd": '{"}": ["{"]}'}
        fields["metadata"] = _object(noise | nested)
    if choose((False, True)):
        fields = dict(reversed(fields.items()))
        fields["event_name"] = '"a \\"name\\" of no account"'
    return _object(fields).encode()


def _object(fields: dict[str, Token]) -> str:
    return (
        "{"
        + ", ".join(f"{json.dumps(name)}: {token}" for name, token in fields.items() if token is not None)
        + "}"
    )


def _spelled(choose: Choose, value: "str | _Moment | None") -> Token:
    if value is None:
        return None
    if isinstance(value, _Moment):
        return json.dumps(_timestamp(choose, value.at))
    if value == "":
        return choose((None, "null", '""', '" \\t"'))
    spellings = [json.dumps(value), json.dumps(value, ensure_ascii=False)]
    spellings += [json.dumps(unicodedata.normalize("NFD", value)), json.dumps(f" {value}\u00a0")]
    if value.isascii() and value.isdigit():
        spellings += [value, f"{value}.0", f"{value}e0", f"{value}0E-1"]
    return choose(tuple(spellings))


def _timestamp(choose: Choose, at: datetime) -> str:
    form = choose((0, 0, 1, 2, 3, 4))
    if form == 0:
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if form == 1:
        return at.strftime("%Y-%m-%d %H:%M:%S.%f9")
    if form == 2:
        return at.strftime("%Y-%m-%dt%H:%M:%S.%fz")
    shifted = at.astimezone(
        timezone(choose((timedelta(hours=14), timedelta(hours=-9, minutes=-30), timedelta())))
    )
    return shifted.isoformat(sep="T" if form == 3 else " ", timespec="auto")


def laid_out(lines: tuple[bytes, ...], seed: int, *, duplicates: bool = True) -> dict[str, bytes]:
    """Lay the lines out over files (name to content): shuffled, some twice or more, some files gzipped.

    Line breaks, blank lines, names and sizes vary with the seed; one file may be empty.
    """
    chance = random.Random(seed)
    shuffled = list(lines)
    if duplicates:
        shuffled += [line for line in lines for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    chance.shuffle(shuffled)
    parts: list[list[bytes]] = [[] for _ in range(chance.randint(1, 5))]
    for line in shuffled:
        chance.choice(parts).append(line)
    files: dict[str, bytes] = {}
    for number, part in enumerate(parts):
        content = b"".join(line + chance.choice((b"\n", b"\n", b"\r\n", b"\n\n", b"\n \n")) for line in part)
        if chance.random() < 0.3:
            content = content.removesuffix(b"\n")
        name = f"{chance.choice(('a', 'b', 'c'))}/events-{number}.jsonl"
        if chance.random() < 0.3:
            files[f"{name}.gz"] = gzip.compress(content, mtime=0)
        else:
            files[name] = content
    return files


def unpacked(name: str, content: bytes) -> bytes:
    """What a file holds."""
    return gzip.decompress(content) if name.endswith(".gz") else content
