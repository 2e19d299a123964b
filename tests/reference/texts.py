"""Strict JSON, and the canonical form of what stands in it."""

import json
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

UNPRINTABLE = "(unprintable)"

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?", re.ASCII)
_LONGEST_KEY = 128


class UnusableError(Exception):
    """A value that has no canonical form: a boolean, a list or an object where a text belongs."""


@dataclass(frozen=True)
class Number:
    """A JSON number as its digits stand in the line; it never becomes a double."""

    text: str


def strict_object(raw: bytes) -> dict[str, Any] | None:
    """Read one JSON object as RFC 8259 has it, in UTF-8, without repeated names; None for anything else.

    What the RFC leaves open: half a surrogate pair is refused, since no text holds it.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_constant=_refuse,
            parse_int=Number,
            parse_float=Number,
        )
        json.dumps(value, ensure_ascii=False, default=str).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a name stands twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def canonical(value: object) -> str | None:
    """Digits for numbers, Unicode NFC, no surrounding white space, blank is absent. Raises UnusableError."""
    if value is None:
        return None
    if isinstance(value, Number):
        return digits(value.text)
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip() or None
    raise UnusableError


def digits(text: str) -> str:
    """Write a JSON number without exponent and without needless zeros: 7, 7.0 and 70e-1 are all "7"."""
    found = _NUMBER.fullmatch(text)
    assert found is not None
    sign, whole, fraction, exponent = found[1], found[2], found[3] or "", int(found[4] or 0)
    significant, point = whole + fraction, len(whole) + exponent
    if point <= 0:
        significant, point = "0" * (1 - point) + significant, 1
    significant = significant.ljust(point, "0")
    whole, fraction = significant[:point].lstrip("0") or "0", significant[point:].rstrip("0")
    plain = f"{whole}.{fraction}" if fraction else whole
    return plain if plain == "0" else sign + plain


def key(value: object) -> str | None:
    """Canonical form of an event_key or service_key. Raises UnusableError."""
    text = canonical(value)
    if text is None:
        return None
    controls = any(unicodedata.category(character) == "Cc" for character in text)
    return UNPRINTABLE if controls or "@" in text or len(text) > _LONGEST_KEY else text


def code(value: object) -> str | None:
    """Canonical form of a status or an error code; whatever is none is unprintable."""
    try:
        text = canonical(value)
    except UnusableError:
        return UNPRINTABLE
    return text if text is None or _CODE.fullmatch(text) else UNPRINTABLE


def flag(value: object) -> bool:
    """Whether is_test flags an event as test traffic. Raises UnusableError for what is neither yes nor no."""
    if isinstance(value, bool):
        return value
    text = (canonical(value) or "").lower()
    if text in {"true", "yes", "1"}:
        return True
    if text in {"", "false", "no", "0"}:
        return False
    raise UnusableError
