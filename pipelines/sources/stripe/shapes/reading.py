"""How single values are taken out of Stripe's objects."""

from typing import Any

Row = dict[str, Any]

UNREADABLE = object()
"""Stands for a value of an unexpected shape, which no column accepts."""


def at(raw: object, *path: str) -> Any:
    """The value at the end of a path of names; None where the path ends before."""
    for name in path:
        raw = raw.get(name) if isinstance(raw, dict) else None
    return raw


def id_of(reference: object) -> Any:
    """The id of an object that is given by its id or, expanded, whole."""
    return reference.get("id") if isinstance(reference, dict) else reference


def is_whole(value: object) -> bool:
    """Whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def sum_of(parts: object, name: str = "amount") -> Any:
    """The sum of a field over a list of objects; 0 without a list."""
    if not parts:
        return 0 if parts is None or isinstance(parts, list) else UNREADABLE
    if not isinstance(parts, list):
        return UNREADABLE
    amounts = [part.get(name) if isinstance(part, dict) else None for part in parts]
    return sum(amounts) if {int}.issuperset(map(type, amounts)) else UNREADABLE


def entries(value: object) -> list[Any]:
    """The entries of a plain list or of an embedded one."""
    if isinstance(value, dict):
        value = value.get("data")
    return value if isinstance(value, list) else []
