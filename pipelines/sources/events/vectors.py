"""Whole columns of JSON tokens at once: ids, instants and values that repeat.

A token is the text of one JSON value, quotes included. Each function tells which rows it is sure of; the others go to
`canonical`, line by line.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.events.canonical import LONGEST_KEY
from pipelines.sources.events.instants import DAYS

ABSENT = -1
UNSURE = -2

QUOTE, BACKSLASH, BLANK, NULL_LETTER, MINUS, ZERO, NINE, AT = 34, 92, 32, 110, 45, 48, 57, 64
PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,80})$"
SHORTEST_INSTANT, LONGEST_INSTANT = 21, 62
MONTH_DAYS = np.array([0, *DAYS, 0, 0, 0], np.int64)

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.int32]


class Tokens:
    """A column of JSON tokens, opened for work on its bytes."""

    def __init__(self, column: pa.StringArray) -> None:
        self.column = column
        _, offsets, data = column.buffers()
        self.offsets = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
        # One byte more, so that the first byte of an empty last token can be looked at.
        self.data = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
        self.starts, self.ends = self.offsets[:-1], self.offsets[1:]
        self.lengths = self.ends - self.starts
        first = self.at(self.starts)
        self.quoted = (first == QUOTE) & (self.lengths >= 2)
        self.first = first
        null = (first == NULL_LETTER) & (self.lengths == 4)
        self.absent = (self.lengths == 0) | null | (self.quoted & (self.lengths == 2))

    def at(self, positions: npt.NDArray[np.int32]) -> npt.NDArray[np.uint8]:
        """Look at the bytes at some positions."""
        return self.data[np.clip(positions, 0, len(self.data) - 1)]

    def span(self) -> npt.NDArray[np.uint8]:
        """All bytes of the column."""
        return self.data[self.offsets[0] : self.offsets[-1]]


def ids(tokens: Tokens) -> tuple[pa.StringArray, Flags]:
    """Read a column of ids: canonical text (null where absent), and the rows that are not sure."""
    inner = tokens.quoted & (tokens.lengths > 2)
    # White space at either end and everything with an escape or beyond ASCII is read line by line.
    plain = inner & (tokens.at(tokens.starts + 1) > BLANK) & (tokens.at(tokens.ends - 2) > BLANK)
    span = tokens.span()
    if len(span) and (span.max() > 126 or (span == BACKSLASH).any()):
        ascii_only = np.asarray(pc.string_is_ascii(tokens.column).fill_null(True))
        escaped = np.asarray(pc.match_substring(tokens.column, "\\").fill_null(False))
        plain &= ascii_only & ~escaped
    # So is what is no plain id.
    plain &= tokens.lengths <= LONGEST_KEY + 2
    if len(span) and ((span == AT) | (span == BLANK)).any():
        plain &= ~np.asarray(pc.match_substring_regex(tokens.column, "[@ ]").fill_null(False))
    sure = plain | tokens.absent
    numbers = ~sure & ((tokens.first == MINUS) | ((tokens.first >= ZERO) & (tokens.first <= NINE)))
    if numbers.any():
        integers = pc.match_substring_regex(tokens.column.filter(pa.array(numbers)), PLAIN_INTEGER)
        sure[numbers] |= np.asarray(integers)
    return _unquoted(tokens, ~tokens.absent), ~sure


def _unquoted(tokens: Tokens, present: Flags) -> pa.StringArray:
    base = tokens.offsets[0]
    kept = np.ones(len(tokens.span()), np.bool_)
    kept[tokens.starts[tokens.quoted] - base] = False
    kept[tokens.ends[tokens.quoted] - 1 - base] = False
    offsets = np.zeros(len(tokens.lengths) + 1, np.int32)
    np.cumsum(tokens.lengths - 2 * tokens.quoted, out=offsets[1:])
    validity = None if present.all() else pa.py_buffer(np.packbits(present, bitorder="little").tobytes())
    return pa.StringArray.from_buffers(
        len(tokens.lengths), pa.py_buffer(offsets), pa.py_buffer(tokens.span()[kept]), validity
    )


def instants(tokens: Tokens) -> tuple[Numbers, Flags, Flags]:
    """Read a column of instants: microseconds since 1970 UTC, the rows without one, and the rows that are not sure."""
    values = np.zeros(len(tokens.lengths), np.int64)
    sure = tokens.absent.copy()
    for length in np.unique(tokens.lengths[~sure]).tolist():
        if not SHORTEST_INSTANT <= length <= LONGEST_INSTANT:
            continue
        rows = np.flatnonzero(~tokens.absent & (tokens.lengths == length))
        if len(rows) == len(values):
            text = tokens.span().reshape(-1, length)
        else:
            text = tokens.data[tokens.starts[rows][:, None] + np.arange(length)]
        found, good = _instants_of_one_length(text)
        values[rows], sure[rows] = found, good
    return values, tokens.absent, ~sure


def _instants_of_one_length(text: npt.NDArray[np.uint8]) -> tuple[Numbers, Flags]:
    good = (text[:, 0] == QUOTE) & (text[:, -1] == QUOTE)
    body = text[:, 1:-1]

    def number(start: int, end: int) -> Numbers:
        nonlocal good
        total = np.zeros(len(body), np.int64)
        for position in range(start, end):
            digit = body[:, position] - ZERO  # wraps round below '0', so that one comparison tells a digit
            good &= digit <= 9
            total = total * 10 + digit
        return total

    for position, byte in ((4, b"-"), (7, b"-"), (13, b":"), (16, b":")):
        good &= body[:, position] == byte[0]
    good &= (body[:, 10] == b"T"[0]) | (body[:, 10] == b"t"[0]) | (body[:, 10] == BLANK)
    year, month, day = number(0, 4), number(5, 7), number(8, 10)
    hour, minute, second = number(11, 13), number(14, 16), number(17, 19)
    days_in_month = MONTH_DAYS[np.clip(month, 0, 15)]
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    good &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= days_in_month + leap)
    # The first and the last year are left to the definition: an offset may lead out of them.
    good &= (hour <= 23) & (minute <= 59) & (second <= 59) & (year > 1) & (year < 9999)
    seconds = _days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    tail, tail_good = _tails(body[:, 19:])
    return seconds * 1_000_000 + tail, good & tail_good


def _tails(tail: npt.NDArray[np.uint8]) -> tuple[Numbers, Flags]:
    """Read fraction and offset, as microseconds to add, of rows whose tails have one length."""
    count, width = tail.shape
    added, good = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    if width == 0:
        return added, ~good
    zulu = (tail[:, -1] | 0x20) == b"z"[0]
    offset = np.zeros(count, np.bool_)
    if width >= 6:
        offset = (tail[:, -3] == b":"[0]) & ((tail[:, -6] == b"+"[0]) | (tail[:, -6] == MINUS))
    for rows, used in ((zulu, 1), (offset, 6), (~(zulu | offset), 0)):
        if rows.any():
            part = tail if rows.all() else tail[rows]
            microseconds, fraction_good = _fractions(part[:, : width - used])
            if used == 6:
                shift, shift_good = _offsets(part[:, width - 6 :])
                microseconds, fraction_good = microseconds - shift, fraction_good & shift_good
            added[rows], good[rows] = microseconds, fraction_good
    return added, good


def _fractions(text: npt.NDArray[np.uint8]) -> tuple[Numbers, Flags]:
    count, width = text.shape
    total, good = np.zeros(count, np.int64), np.ones(count, np.bool_)
    if width == 0:
        return total, good
    good &= (text[:, 0] == b"."[0]) & (width > 1)
    for position in range(1, width):
        digit = text[:, position] - ZERO
        good &= digit <= 9
        if position <= 6:
            total = total * 10 + digit
    return total * 10 ** max(7 - width, 0), good


def _offsets(text: npt.NDArray[np.uint8]) -> tuple[Numbers, Flags]:
    digits = [text[:, position] - ZERO for position in (1, 2, 4, 5)]
    good = np.ones(len(text), np.bool_)
    for digit in digits:
        good &= digit <= 9
    hours, minutes = (tens.astype(np.int64) * 10 + ones for tens, ones in (digits[:2], digits[2:]))
    good &= (hours <= 23) & (minutes <= 59)
    size = (hours * 3600 + minutes * 60) * 1_000_000
    return np.where(text[:, 0] == MINUS, -size, size), good


def _days_since_1970(year: Numbers, month: Numbers, day: Numbers) -> Numbers:
    shifted = year - (month <= 2)
    era_day = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400
    return era_day + (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1 - 719_468


class Categories:
    """Reads columns whose values repeat: each different token once, by a function on the token.

    The function gives the value to store or None for a blank one, and raises TypeError where a line has to decide.
    """

    def __init__(self, meaning: Callable[[str], Any], remembered: int = 20_000) -> None:
        self._meaning = meaning
        self._remembered = remembered
        self._positions: dict[str | None, int] = {}
        self._of_values: dict[Any, int] = {}

    @property
    def values(self) -> list[Any]:
        """All values read so far that are remembered; positions point into this list."""
        return list(self._of_values)

    def read(self, columns: Sequence[pa.StringArray], rows: int) -> Positions:
        """Read the first non-blank value of several columns of tokens, as positions in `values`.

        A position may be ABSENT or UNSURE. Positions hold until the next call.
        """
        if len(self._positions) > self._remembered:
            self._positions, self._of_values = {}, {}
        self._positions[None] = ABSENT
        found = np.full(rows, ABSENT, np.int32)
        for column in columns:
            coded = column.dictionary_encode()
            tokens = [*coded.dictionary.to_pylist(), None]
            known: list[Any] = list(map(self._positions.get, tokens))
            if None in known:
                for number, position in enumerate(known):
                    if position is None:
                        known[number] = self._position(tokens[number])
            positions = np.array(known, np.int32)[np.asarray(coded.indices.fill_null(len(tokens) - 1))]
            found = np.where(found == ABSENT, positions, found)
        return found

    def _position(self, token: str) -> int:
        try:
            value = self._meaning(token)
            position = ABSENT if value is None else self._of_values.setdefault(value, len(self._of_values))
        except TypeError:
            position = UNSURE
        self._positions[token] = position
        return position


def coded(positions: Positions, values: pa.Array | Sequence[str]) -> pa.DictionaryArray:
    """Make a text column of positions in a list of values (below 0: null)."""
    return pa.DictionaryArray.from_arrays(
        pa.array(positions, mask=positions < 0), pa.array(values, pa.string())
    )
