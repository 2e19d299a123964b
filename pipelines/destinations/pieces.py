"""Texts within the limits of a service: split between words, marked where they go on, never cut."""

from collections.abc import Callable

Length = Callable[[str], int]


def utf16_length(text: str) -> int:
    """Count as the strictest services do: a character beyond the basic plane is two."""
    return len(text.encode("utf-16-le")) // 2


def pieces(text: str, limit: int, length: Length = utf16_length) -> list[str]:
    """Split a text into pieces of at most `limit`: at line ends, else at blanks, else where it must be.

    Joined again, they are the text but for white space where it was split.
    """
    found = []
    rest = text.strip()
    while length(rest) > limit:
        fits = _fitting(rest, limit, length)
        # Half a piece at least: else one long word would make many short pieces.
        at = (
            max(rest.rfind("\n", fits // 2, fits + 1), 0)
            or max(rest.rfind(" ", fits // 2, fits + 1), 0)
            or fits
        )
        found.append(rest[:at].rstrip())
        rest = rest[at:].lstrip()
    if rest:
        found.append(rest)
    return found


def _fitting(text: str, limit: int, length: Length) -> int:
    """Count the characters of the longest beginning that is within the limit, not ending in an escape."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle]) <= limit else (low, middle - 1)
    while low > 1 and text[low - 1] == "\\":
        low -= 1
    return low
