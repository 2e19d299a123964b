"""One event file of any format, as outcomes of some lines at a time."""

import functools
import itertools
import os
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pipelines.privacy.identity import Keys
from pipelines.sources.events import canonical
from pipelines.sources.events.blocks import Block, Lines, LongLine
from pipelines.sources.events.canonical import Refused
from pipelines.sources.events.columns import LineReader, Outcome, Rejected
from pipelines.sources.events.delimited import Record, Records, header_of
from pipelines.sources.events.files import EventFile
from pipelines.sources.events.mapping import Mapping
from pipelines.sources.events.records import RecordSource
from pipelines.sources.events.rows import event_table
from pipelines.sources.events.typed import ROWS_AT_ONCE, read_rows, row_bytes
from pipelines.sources.events.users import Users

MOST_WORKERS = 4

NumberedRow = tuple[int, dict[str, Any] | None, Callable[[], bytes]]
"""A row's number, its content (None where it has none) and what makes its bytes, for the hash."""


class Readers:
    """Reads event files, several blocks of one at a time."""

    def __init__(self, mapping: Mapping, keys: Keys) -> None:
        self._mapping = mapping
        self._keys = keys
        self._users = Users(keys)
        self._workers = min(os.cpu_count() or 1, MOST_WORKERS)
        self._pool = ThreadPoolExecutor(self._workers, "events")
        self._line_readers: queue.SimpleQueue[LineReader] = queue.SimpleQueue()
        for _ in range(self._workers):
            self._line_readers.put(LineReader(mapping, keys, self._users))

    def close(self) -> None:
        """End the threads and free their memory."""
        self._pool.shutdown(cancel_futures=True)
        while not self._line_readers.empty():
            self._line_readers.get().close()

    def read(self, file: EventFile | RecordSource) -> Iterator[Outcome]:
        """Read a file or a table of another system, some lines at a time."""
        if isinstance(file, RecordSource):
            return map(self.read_rows, file.numbered())
        if file.format == "csv":
            return self._delimited(file)
        if file.format == "parquet":
            return self._typed(file)
        return self._json_lines(file)

    def read_rows(self, rows: Iterable[NumberedRow], unknown: Sequence[str] = ()) -> Outcome:
        """Read rows that are no lines of JSON; a row without content is malformed."""
        outcome = Outcome()
        events, numbers = [], []
        for number, content, raw in rows:
            try:
                if content is None:
                    raise Refused("malformed")
                event = canonical.read_event(content, self._mapping)
            except Refused as refused:
                line_hash = self._keys.line_hash(raw())
                outcome.rejected.append(Rejected(number, refused.reason, refused.field, line_hash))
                continue
            outcome.add_unknown([*event.unknown, *unknown])
            events.append(event)
            numbers.append(number)
        if events:
            outcome.events.append(event_table(events, numbers, self._keys, self._users))
        return outcome

    def _delimited(self, file: EventFile) -> Iterator[Outcome]:
        known = self._mapping.known[()]
        with file.open() as stream:
            records = Records(stream, file.is_complete)
            found = iter(records)
            first = next(found, None)
            names = header_of(first, self._mapping, file.name) if first else []
            unknown = [name for name in names if name not in known]
            wanted = [(position, name) for position, name in enumerate(names) if name in known]

            def numbered(record: Record) -> NumberedRow:
                cells = record.cells
                content = None
                if cells is not None and len(cells) == len(names):
                    content = {name: cells[position] for position, name in wanted if cells[position]}
                return record.line_number, content, lambda: record.raw.rstrip(b"\r\n")

            while batch := list(itertools.islice(found, ROWS_AT_ONCE)):
                yield self.read_rows(map(numbered, batch), unknown)
            yield Outcome(left_over=records.left_over)

    def _typed(self, file: EventFile) -> Iterator[Outcome]:
        numbers = itertools.count(1)
        with file.open_raw() as stream:
            for rows, unknown in read_rows(stream, self._mapping, file.name):
                yield self.read_rows(
                    ((next(numbers), row, functools.partial(row_bytes, row)) for row in rows), unknown
                )

    def _json_lines(self, file: EventFile) -> Iterator[Outcome]:
        waiting: deque[Future[Outcome]] = deque()
        with file.open() as stream:
            lines = Lines(stream, self._keys.user_key, file.is_complete)
            for block in lines:
                if isinstance(block, LongLine):
                    yield Outcome(rejected=[Rejected(block.line_number, "malformed", None, block.line_hash)])
                    continue
                waiting.append(self._pool.submit(self._read_block, block.copy()))
                if len(waiting) > self._workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
            yield Outcome(left_over=lines.left_over)

    def _read_block(self, block: Block) -> Outcome:
        reader = self._line_readers.get()
        try:
            return reader.read(block)
        finally:
            self._line_readers.put(reader)
