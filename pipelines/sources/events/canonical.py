"""What an event line means: the definition, one line at a time, in plain Python.

The columnar reader in `columns` is fast for ordinary lines and hands every other line to this module. Where both could
answer they must answer alike, and a test holds them to it.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from pipelines.privacy.identity import canonical_text
from pipelines.sources.events.instants import LAST_STORABLE, MICROSECONDS_A_DAY, days_since_1970, instant
from pipelines.sources.events.mapping import Mapping, Path

DEEPEST_NESTING = 100
LONGEST_METADATA = 64 * 1024
LONGEST_KEY = 128
UNPRINTABLE = "(unprintable)"
PRINTABLE_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
CONTROL_OR_AT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029@]")
AT_OR_SPACE = re.compile(r"[@\s]")
TRUE_TEXTS = frozenset({"true", "1", "yes"})
FALSE_TEXTS = frozenset({"false", "0", "no"})
EARLIEST = days_since_1970(2000, 1, 1) * MICROSECONDS_A_DAY
LATEST = days_since_1970(2100, 1, 1) * MICROSECONDS_A_DAY

STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
SPACES = " \t\n\r"


class Refused(Exception):  # noqa: N818 - a fate of a line, not an error
    """A line that makes no event: why, and which field it is about. Never a value."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


@dataclass(slots=True)
class Event:
    """One event in canonical form; instants in microseconds since 1970 UTC. `user_id` is not stored."""

    event_id: str
    event_key: str
    service_key: str | None
    user_id: str | None
    session_id: str | None
    status: str | None
    error_code: str | None
    is_test: bool
    occurred_at: int
    received_at: int | None
    unknown: list[str] = field(default_factory=list)
    """Names of fields outside the mapping that the event carried."""


def read_line(line: bytes, mapping: Mapping) -> Event:
    """Read one line of JSON, raising Refused where it makes no event."""
    return read_event(parse_object(line), mapping, metadata_may_be_long=len(line) > LONGEST_METADATA // 2)


def is_blank(line: bytes) -> bool:
    """Tell whether a line holds nothing but JSON white space; such a line is no line at all."""
    return not line.strip(b" \t\r\n")


def parse_object(line: bytes) -> dict[str, Any]:
    """Read strict JSON (RFC 8259) holding one object; numbers stay exact. Raises Refused('malformed')."""
    try:
        text = line.decode("utf-8")
        _check_nesting(line)
        value = _DECODER.decode(text)
        if SURROGATE.search(line):
            json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except (ValueError, RecursionError):
        raise Refused("malformed") from None
    if not isinstance(value, dict):
        raise Refused("malformed")
    return value


def read_event(content: dict[str, Any], mapping: Mapping, *, metadata_may_be_long: bool = True) -> Event:
    """Make an event of the fields of a parsed line (or of a row), raising Refused where it makes none."""
    content = _opened(content, mapping)
    if metadata_may_be_long:
        _check_metadata(content, mapping)
    event_id = _required(content, mapping, "event_id")
    event_key = _required(content, mapping, "event_key")
    occurred_at = instant(_required(content, mapping, "occurred_at"))
    if occurred_at is None:
        raise Refused("incomplete", "occurred_at")
    event = Event(
        event_id,
        printable_key(event_key) or UNPRINTABLE,
        printable_key(_text(content, mapping, "service_key")),
        _text(content, mapping, "user_id"),
        _text(content, mapping, "session_id"),
        printable_code(_loose_text(content, mapping, "status")),
        printable_code(_loose_text(content, mapping, "error_code")),
        _flag(content, mapping),
        occurred_at,
        _received_at(content, mapping),
        unknown_names(content, mapping),
    )
    if is_implausible(event.occurred_at, event.received_at):
        raise Refused("implausible", "occurred_at")
    return event


def is_implausible(occurred_at: int, received_at: int | None) -> bool:
    """Tell whether an event claims a moment in which it cannot have happened."""
    if not EARLIEST <= occurred_at < LATEST:
        return True
    return received_at is not None and occurred_at > received_at + MICROSECONDS_A_DAY


def printable_key(text: str | None) -> str | None:
    """Keep a key that looks like one; what could be free text or an address is replaced."""
    if text is not None and (len(text) > LONGEST_KEY or CONTROL_OR_AT.search(text)):
        return UNPRINTABLE
    return text


def printable_code(text: str | None) -> str | None:
    """Keep a code of letters, digits, `_`, `.` and `-`; anything else could be free text and is replaced."""
    if text is not None and not PRINTABLE_CODE.fullmatch(text):
        return UNPRINTABLE
    return text


def is_plain_id(text: str) -> bool:
    """Tell an id from what could be an address or free text: no `@`, no white space inside, no more than 128 long."""
    return len(text) <= LONGEST_KEY and not AT_OR_SPACE.search(text)


def flag(value: object) -> bool | None:
    """Read a true-or-false value; None where it is blank or absent. Raises TypeError where it is neither."""
    if isinstance(value, bool):
        return value
    text = canonical_text(value)
    if text is None:
        return None
    if text.lower() in TRUE_TEXTS:
        return True
    if text.lower() in FALSE_TEXTS:
        return False
    raise TypeError("neither true nor false")


def unknown_names(content: dict[str, Any], mapping: Mapping) -> list[str]:
    """List the names outside the mapping, those inside an object with its path before them."""
    found: list[str] = []
    for container, known in mapping.known.items():
        inside = _walk(content, container)
        if isinstance(inside, dict):
            found.extend(".".join((*container, name)) for name in inside if name not in known)
    return found


def _walk(content: object, path: Path) -> Any:
    for name in path:
        if not isinstance(content, dict):
            return None
        content = content.get(name)
    return content


def _opened(content: dict[str, Any], mapping: Mapping) -> dict[str, Any]:
    """Read text that holds an object as that object, where the mapping expects one (CSV cells, text columns)."""
    for name in mapping.heads:
        value = content.get(name)
        if isinstance(value, str) and value.lstrip(SPACES).startswith("{"):
            try:
                opened = parse_object(value.encode("utf-8", "surrogatepass"))
            except Refused:
                continue
            content = {**content, name: opened}
    return content


def _text(content: dict[str, Any], mapping: Mapping, field: str) -> str | None:
    for path in mapping.of(field):
        try:
            text = canonical_text(_walk(content, path))
        except TypeError:
            raise Refused("incomplete", field) from None
        if text is not None:
            return text
    return None


def _required(content: dict[str, Any], mapping: Mapping, field: str) -> str:
    text = _text(content, mapping, field)
    if text is None:
        raise Refused("incomplete", field)
    return text


def _loose_text(content: dict[str, Any], mapping: Mapping, field: str) -> str | None:
    try:
        return _text(content, mapping, field)
    except Refused:
        return UNPRINTABLE


def _flag(content: dict[str, Any], mapping: Mapping) -> bool:
    for path in mapping.of("is_test"):
        try:
            found = flag(_walk(content, path))
        except TypeError:
            raise Refused("incomplete", "is_test") from None
        if found is not None:
            return found
    return False


def _received_at(content: dict[str, Any], mapping: Mapping) -> int | None:
    try:
        text = _text(content, mapping, "received_at")
    except Refused:
        return None
    found = None if text is None else instant(text)
    return None if found is None or found > LAST_STORABLE else found


def _check_metadata(content: dict[str, Any], mapping: Mapping) -> None:
    for path in mapping.of("metadata"):
        value = _walk(content, path)
        if isinstance(value, dict) and compact_size(value) > LONGEST_METADATA:
            raise Refused("incomplete", "metadata")


def compact_size(value: object) -> int:
    """Count the bytes of a parsed value written as JSON in UTF-8 without white space between its parts."""
    if isinstance(value, dict):
        parts = sum(compact_size(name) + 1 + compact_size(inside) for name, inside in value.items())
        return 2 + parts + max(len(value) - 1, 0)
    if isinstance(value, list):
        return 2 + sum(compact_size(inside) for inside in value) + max(len(value) - 1, 0)
    if isinstance(value, Decimal):
        return len(str(value))
    return len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))


def _check_nesting(line: bytes) -> None:
    if line.count(b"[") + line.count(b"{") <= DEEPEST_NESTING:
        return
    depth = 0
    for byte in STRING.sub(b"", line):
        depth += (byte in b"[{") - (byte in b"]}")
        if depth > DEEPEST_NESTING:
            raise ValueError("nested too deeply")


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    pairs = list(pairs)
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a repeated name")
    return content


def _number(digits: str) -> Decimal:
    try:
        return Decimal(digits)
    except InvalidOperation:
        # An exponent beyond any decimal: no number that a field could mean.
        return Decimal("Infinity")


def _constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_number, parse_float=_number, parse_constant=_constant
)
