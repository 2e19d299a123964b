"""CSV files: a header row, then one event a record. Every cell is text, an empty one is absent."""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pipelines.errors import KpiError
from pipelines.sources.events.blocks import BYTE_ORDER_MARK, LONGEST_LINE
from pipelines.sources.events.mapping import REQUIRED, Mapping

READ_SIZE = 1 << 20


@dataclass(frozen=True)
class Record:
    """One record: the number of the line it starts on, its bytes, and its cells if it is well formed."""

    line_number: int
    raw: bytes
    cells: Sequence[str] | None


@dataclass
class Records:
    """Reads the records of a CSV stream; a broken one is given as such, and reading goes on at the line after it."""

    stream: io.BufferedIOBase
    may_end: Callable[[], bool]
    """Says at the end of the stream whether a last line without a line end is complete."""
    left_over: int = 0
    """Bytes of a last record that was left for the next run."""
    _line_number: int = 0
    _again: deque[bytes] = field(default_factory=deque)
    _taken: list[bytes] = field(default_factory=list)
    _buffered: io.BufferedReader | None = None

    def __iter__(self) -> Iterator[Record]:
        self._buffered = io.BufferedReader(_raw(self.stream), READ_SIZE)
        while True:
            parser = csv.reader(self._lines(), strict=True)
            number = self._line_number + 1
            try:
                cells = next(parser)
            except StopIteration:
                return
            except csv.Error:
                if self.left_over:
                    return
                # Only the first line is given up; what the open quote swallowed is read again.
                raw = self._taken[0]
                self._again.extendleft(reversed(self._taken[1:]))
                self._line_number = number
                yield Record(number, raw, None)
            else:
                if self.left_over:
                    return
                raw = b"".join(self._taken)
                if cells:
                    yield Record(number, raw, cells if _is_text(raw) and len(raw) <= LONGEST_LINE else None)
            self._taken.clear()

    def _lines(self) -> Iterator[str]:
        assert self._buffered is not None
        while True:
            line = self._again.popleft() if self._again else self._buffered.readline(LONGEST_LINE)
            if not line:
                return
            if self._line_number == 0:
                line = line.removeprefix(BYTE_ORDER_MARK)
            self._taken.append(line)
            if not line.endswith(b"\n") and not self._buffered.peek(1) and not self.may_end():
                self.left_over = sum(map(len, self._taken))
            self._line_number += 1
            yield line.decode("utf-8", "surrogateescape")


def header_of(record: Record, mapping: Mapping, file_name: str) -> list[str]:
    """Read the header, raising KpiError where it lacks a required column or names one twice."""
    names = [name.strip() for name in record.cells or ()]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise KpiError(
            f"{file_name} has the column '{twice}' twice.", "Rename one of the two in its header row."
        )
    check_columns(names, mapping, file_name)
    return names


def check_columns(names: Sequence[str], mapping: Mapping, file_name: str) -> None:
    """Raise KpiError where a required field has no column."""
    for field_name in REQUIRED:
        heads = [path[0] for path in mapping.of(field_name)]
        if not set(heads) & set(names):
            raise KpiError(
                f"{file_name} has no column '{heads[0]}', which holds {field_name}; nothing of it was loaded.",
                "Add the column, or name the right one under [sources.events.mapping] in .dlt/config.toml.",
            )


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _raw(stream: io.BufferedIOBase) -> io.RawIOBase:
    return stream if isinstance(stream, io.RawIOBase) else _Raw(stream)


class _Raw(io.RawIOBase):
    """Makes a raw stream of any stream of bytes."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
