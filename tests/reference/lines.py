"""From a line to an event: every line has one fate, every event_id one winner."""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from reference.instants import DAY, EARLIEST, END, instant
from reference.texts import UnusableError, canonical, code, flag, key, strict_object

Roles = Mapping[str, str]
"""event_key -> `account_created` or `test`."""


@dataclass(frozen=True, order=True)
class Line:
    """One line of a file, without its line break. Numbers count from 1."""

    file: str
    number: int
    raw: bytes


@dataclass(frozen=True)
class Content:
    """What an arrival says, in canonical form; two arrivals with the same content are copies."""

    occurred_at: int
    event_key: str
    service_key: str | None
    session_id: str | None
    status: str | None
    error_code: str | None
    is_test: bool
    user_id: str | None


@dataclass(frozen=True)
class Arrival:
    """One readable line."""

    line: Line
    event_id: str
    received_at: int | None
    content: Content


@dataclass(frozen=True)
class Counted:
    """One event that counts. `occurred_at` in microseconds since 1970 UTC."""

    event_id: str
    occurred_at: int
    role: str
    user_id: str | None
    session_id: str | None
    is_success: bool
    error_code: str | None


@dataclass(frozen=True)
class Settled:
    """Every line with its fate; a winner's own fate waits for the roles, which are data and may change."""

    rejected: dict[Line, str]
    """malformed, incomplete or implausible"""
    losers: dict[Line, str]
    """duplicate or conflict"""
    winners: dict[str, Arrival]
    """event_id -> the arrival that counts for it"""


def lines_of(file: str, content: bytes) -> list[Line]:
    """Cut a file into its lines; blank ones are none, but they are numbered."""
    numbered = enumerate(content.split(b"\n"), start=1)
    return [Line(file, number, raw) for number, raw in numbered if raw.strip(b" \t\r")]


def settle(lines: Iterable[Line], user_key: bytes = b"") -> Settled:
    """Find the winner of every event_id.

    `user_key` is the key of the users' pseudonyms: between arrivals that differ in nothing but the user,
    the smaller pseudonym wins, so that there, and only there, the key decides what is counted.
    """
    rejected: dict[Line, str] = {}
    arrivals: dict[str, list[Arrival]] = defaultdict(list)
    for line in sorted(lines):
        arrival = read(line)
        if isinstance(arrival, str):
            rejected[line] = arrival
        else:
            arrivals[arrival.event_id].append(arrival)
    winners: dict[str, Arrival] = {}
    losers: dict[Line, str] = {}
    for event_id, candidates in arrivals.items():
        winner = min(candidates, key=lambda arrival: _precedence(arrival, user_key))
        winners[event_id] = winner
        for other in candidates:
            if other is not winner:
                losers[other.line] = "duplicate" if other.content == winner.content else "conflict"
    return Settled(rejected, losers, winners)


def counted(settled: Settled, roles: Roles) -> list[Counted]:
    """The events that count, under these roles."""
    return [
        Counted(
            event_id=event_id,
            occurred_at=winner.content.occurred_at,
            role=roles[winner.content.event_key],
            user_id=winner.content.user_id,
            session_id=winner.content.session_id,
            is_success=winner.content.status == "success",
            error_code=winner.content.error_code,
        )
        for event_id, winner in settled.winners.items()
        if _fate_of_winner(winner.content, roles) == "counted"
    ]


def fates(settled: Settled, roles: Roles) -> dict[Line, str]:
    """The fate of every line, under these roles."""
    winners = {winner.line: _fate_of_winner(winner.content, roles) for winner in settled.winners.values()}
    return settled.rejected | settled.losers | winners


def quarantine(settled: Settled) -> dict[Line, str]:
    """The lines that are kept as reason and hash alone."""
    conflicts = {line: fate for line, fate in settled.losers.items() if fate == "conflict"}
    return settled.rejected | conflicts


def read(line: Line) -> Arrival | str:
    """Read one line as an arrival, or say why it is none."""
    fields = strict_object(line.raw)
    if fields is None:
        return "malformed"
    try:
        event_id, content = _content(fields)
    except UnusableError:
        return "incomplete"
    received_at = instant(fields.get("received_at"))
    if not EARLIEST <= content.occurred_at < END:
        return "implausible"
    if received_at is not None and content.occurred_at - received_at > DAY:
        return "implausible"
    return Arrival(line, event_id, received_at, content)


def _content(fields: dict[str, Any]) -> tuple[str, Content]:
    event_id, event_key = canonical(fields.get("event_id")), key(fields.get("event_key"))
    occurred_at = instant(fields.get("occurred_at"))
    if event_id is None or event_key is None or occurred_at is None:
        raise UnusableError
    nested = fields.get("metadata")
    metadata: dict[str, Any] = nested if isinstance(nested, dict) else {}
    return event_id, Content(
        occurred_at=occurred_at,
        event_key=event_key,
        service_key=key(fields.get("service_key")),
        session_id=canonical(metadata.get("session_id")) or canonical(fields.get("session_id")),
        status=code(metadata.get("status")) or code(fields.get("status")),
        error_code=code(metadata.get("error_code")) or code(fields.get("error_code")),
        is_test=flag(fields.get("is_test")),
        user_id=canonical(fields.get("user_id")),
    )


def _precedence(arrival: Arrival, user_key: bytes) -> tuple[object, ...]:
    """Smaller wins: the earliest received, then the smallest content, absent before any text."""
    content = arrival.content
    received = (arrival.received_at is None, arrival.received_at or 0)
    texts = (content.event_key, content.service_key, content.session_id, content.status, content.error_code)
    return (
        received,
        content.occurred_at,
        *((text is not None, text or "") for text in texts),
        content.is_test,
        pseudonym(content.user_id, user_key) or "",
    )


def pseudonym(user_id: str | None, user_key: bytes) -> str | None:
    """HMAC-SHA256 of a canonical id, in hexadecimal digits."""
    return None if user_id is None else hmac.new(user_key, user_id.encode(), hashlib.sha256).hexdigest()


def _fate_of_winner(content: Content, roles: Roles) -> str:
    role = roles.get(content.event_key)
    if content.is_test:
        return "flagged"
    if role is None:
        return "no_role"
    if role == "test" and content.status not in {"success", "error"}:
        return "bad_status"
    if role == "account_created" and content.user_id is None:
        return "no_user"
    return "counted"
