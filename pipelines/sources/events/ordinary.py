"""Which lines of a block may be ordinary, told by their bytes alone."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.sources.events.blocks import SCAN_SIZE, Block
from pipelines.sources.events.canonical import LONGEST_METADATA
from pipelines.sources.events.vectors import Flags, Numbers

LONGEST_LINE = LONGEST_METADATA // 2
MOST_BRACKETS = 50
NOT_JSON = r"(?i)nan|inf|,\s*[\]}]"
"""What DuckDB takes for JSON and RFC 8259 does not. Only lines with a SUSPICIOUS byte need to be searched for it."""
SUSPICIOUS = np.zeros(256, np.bool_)
SUSPICIOUS[list(b"nNfFyY \t\r\n")] = True
"""Bytes that may stand before a comma or a closing bracket at the end of such a thing: NaN, inf, Infinity, white space."""

Bytes = npt.NDArray[np.uint8]


def ordinary_lines(block: Block) -> Flags:
    """Tell which lines are UTF-8, short, not deeply nested, and no JSON only to a lenient reader."""
    data = np.frombuffer(block.data, np.uint8)
    starts, lengths = block.offsets[:-1], np.diff(block.offsets)
    ordinary: Flags = (data[np.minimum(starts, len(data) - 1)] == b"{"[0]) & (lengths <= LONGEST_LINE)
    lines = block.lines()
    try:
        lines.validate(full=True)
    except pa.ArrowInvalid:
        for row in np.flatnonzero(~np.asarray(pc.string_is_ascii(lines))).tolist():
            ordinary[row] = ordinary[row] and _is_text(block.line(row))
    if block.data.find(b"[") >= 0:
        ordinary &= count_in_lines(block, b"[") < MOST_BRACKETS
    suspects = np.unique(np.searchsorted(block.offsets, _suspicious(data), side="right") - 1)
    suspects = suspects[ordinary[suspects]]
    if len(suspects):
        found = pc.match_substring_regex(lines.take(pa.array(suspects)), NOT_JSON)
        ordinary[suspects] = ~np.asarray(found)
    return ordinary


def count_in_lines(block: Block, byte: bytes) -> Numbers:
    """Count a byte in each line."""
    data = np.frombuffer(block.data, np.uint8)
    pieces = range(0, len(data), SCAN_SIZE)
    found = [np.flatnonzero(data[start : start + SCAN_SIZE] == byte[0]) + start for start in pieces]
    return np.diff(np.searchsorted(_joined(found), block.offsets))


def _suspicious(data: Bytes) -> Numbers:
    """Find the commas and closing brackets that may end something that is no JSON."""
    found = []
    for start in range(0, len(data), SCAN_SIZE):
        piece = data[start : start + SCAN_SIZE]
        # One bit tells "]" from "}".
        closing = (piece | 0x20) == b"}"[0]
        positions = np.flatnonzero(closing | (piece == b","[0])) + start
        before = data[positions - 1]
        found.append(positions[SUSPICIOUS[before] | ((before == b","[0]) & (data[positions] != b","[0]))])
    return _joined(found)


def _joined(found: list[Numbers]) -> Numbers:
    return np.concatenate(found) if found else np.empty(0, np.int64)


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
