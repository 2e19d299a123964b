"""One load: event files in, rows of the raw tables out."""

import datetime as dt
import errno
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import KpiError
from pipelines.privacy.identity import Keys
from pipelines.sources.events import tables
from pipelines.sources.events.columns import Outcome, Rejected
from pipelines.sources.events.files import EventFile
from pipelines.sources.events.mapping import Mapping
from pipelines.sources.events.readers import Readers
from pipelines.sources.events.records import RecordSource
from pipelines.sources.events.spool import Spool

SHOWN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
MOST_NAMES = 20
ERASED = "erased"
"""Why a line of a user who was forgotten is left out."""
MOST_EXAMPLES = 3
SHOW_EVERY = 1_000_000


@dataclass
class FileCount:
    """What one file held."""

    events: int = 0
    unknown_lines: int = 0
    unknown_names: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    examples: dict[tuple[str, str | None], list[int]] = field(default_factory=dict)
    """The first line numbers of each reason and field."""

    @property
    def lines(self) -> int:
        """All lines that are not blank."""
        return self.events + self.quarantined.total()

    def add(self, outcome: Outcome) -> None:
        """Count some more lines."""
        self.events += outcome.event_count
        self.unknown_lines += outcome.unknown_lines
        self.unknown_names.update(outcome.unknown_names)
        for rejected in outcome.rejected:
            reason = (rejected.reason, rejected.field)
            self.quarantined[reason] += 1
            examples = self.examples.setdefault(reason, [])
            if len(examples) < MOST_EXAMPLES:
                examples.append(rejected.line_number)

    def shown_names(self) -> list[str]:
        """Names of unknown fields that look like names, sorted; anything else might be somebody's data."""
        return sorted(name for name in self.unknown_names if SHOWN_NAME.fullmatch(name))[:MOST_NAMES]


class Reading:
    """Reads event files once, when dlt asks for the first rows of any table."""

    def __init__(
        self,
        files: Sequence[EventFile | RecordSource],
        mapping: Mapping,
        keys: Keys,
        folder: Path,
        loaded_at: dt.datetime,
        progress: Callable[[str], None],
        erased: frozenset[str] = frozenset(),
    ) -> None:
        self._erased = erased
        self._files = files
        self._mapping = mapping
        self._keys = keys
        self._folder = folder
        self._loaded_at = loaded_at
        self._progress = progress
        self._spools: dict[str, Spool] = {}
        self._file_rows: list[dict[str, Any]] = []
        self.counts: dict[str, FileCount] = {}
        self.failures: list[str] = []

    def parts(self, table: str, load_id: str) -> Iterator[tuple[Path, int]]:
        """Give the Parquet files of `events` or `quarantine` with their numbers of rows."""
        self._read(load_id)
        yield from self._spools[table].parts()

    def file_rows(self, load_id: str) -> pa.Table:
        """Give the rows of the table of files."""
        self._read(load_id)
        return pa.Table.from_pylist(self._file_rows, schema=tables.FILES)

    def fingerprint_rows(self, load_id: str) -> pa.Table:
        """Give the one row that tells the keys of this load from others."""
        row = self._keys.fingerprints() | self._load(load_id)
        return pa.Table.from_pylist([row], schema=tables.KEY_FINGERPRINTS)

    def _load(self, load_id: str) -> dict[str, Any]:
        return {"loaded_at": self._loaded_at, "_dlt_load_id": load_id}

    def _read(self, load_id: str) -> None:
        if self._spools:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._spools = {
            "events": Spool(self._folder, "events", tables.EVENTS),
            "quarantine": Spool(self._folder, "quarantine", tables.QUARANTINE),
        }
        readers = Readers(self._mapping, self._keys)
        try:
            for number, file in enumerate(self._files, 1):
                self._progress(f"events: {file.name} ({number} of {len(self._files)})")
                self._read_one(readers, file, load_id)
        finally:
            readers.close()

    def _read_one(self, readers: Readers, file: EventFile | RecordSource, load_id: str) -> None:
        count = FileCount()
        try:
            size = self._read_content(readers, file, count, load_id)
        except KpiError as error:
            self._fail(str(error))
        except (EOFError, OSError, zlib.error, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            self._fail(
                f"{file.name} cannot be read to its end ({type(error).__name__}); nothing of it was loaded.\n"
                "  -> Put a complete copy of the file in its place, then start again."
            )
        else:
            for spool in self._spools.values():
                spool.commit()
            self.counts[file.name] = count
            self._file_rows.append(self._file_row(file, size, count) | self._load(load_id))

    def _read_content(
        self, readers: Readers, file: EventFile | RecordSource, count: FileCount, load_id: str
    ) -> int | None:
        shown = SHOW_EVERY
        size = file.size
        for outcome in readers.read(file):
            if size is not None:
                size -= outcome.left_over
            outcome.events = [self._without_erased(rows, outcome) for rows in outcome.events]
            for rows in outcome.events:
                self._spools["events"].add(self._event_rows(file, rows, load_id))
            if outcome.rejected:
                self._spools["quarantine"].add(self._quarantine_rows(file, outcome.rejected, load_id))
            count.add(outcome)
            if count.lines >= shown:
                self._progress(f"events: {file.name}: {count.lines:,} lines")
                shown += SHOW_EVERY
        return size

    def _without_erased(self, rows: pa.Table, outcome: Outcome) -> pa.Table:
        """Leave out the events of users who were forgotten; of them the place alone is kept."""
        if not self._erased:
            return rows
        users = rows.column("user_key").combine_chunks().cast(pa.string())
        gone = [user for user in pc.unique(users).to_pylist() if user and self._is_erased(user)]
        if not gone:
            return rows
        is_gone = pc.is_in(users, pa.array(gone, pa.string()))
        numbers = rows.column("line_number").filter(is_gone).to_pylist()
        outcome.rejected += [Rejected(number, ERASED, None, "") for number in numbers]
        return rows.filter(pc.invert(is_gone))

    def _is_erased(self, user_key: str) -> bool:
        return self._keys.erasure_id(user_key) in self._erased

    def _fail(self, failure: str) -> None:
        for spool in self._spools.values():
            spool.roll_back()
        self.failures.append(failure)

    def _event_rows(self, file: EventFile | RecordSource, rows: pa.Table, load_id: str) -> pa.Table:
        columns = {name: rows.column(name) for name in rows.column_names}
        columns |= self._same_for_all(rows.num_rows, file, load_id)
        return pa.table([columns[name] for name in tables.EVENTS.names], schema=tables.EVENTS)

    def _quarantine_rows(
        self, file: EventFile | RecordSource, rejected: Sequence[Rejected], load_id: str
    ) -> pa.Table:
        schema = tables.QUARANTINE
        columns: dict[str, Any] = {
            name: pa.array([getattr(line, name) for line in rejected], schema.field(name).type)
            for name in ("line_number", "reason", "field", "line_hash")
        }
        columns |= self._same_for_all(len(rejected), file, load_id) | {
            "event_id": pa.nulls(len(rejected), pa.string())
        }
        return pa.table([columns[name] for name in schema.names], schema=schema)

    def _same_for_all(self, count: int, file: EventFile | RecordSource, load_id: str) -> dict[str, pa.Array]:
        return {
            "source_file": _repeated(file.name, count),
            "loaded_at": pa.repeat(pa.scalar(self._loaded_at, tables.INSTANT), count),
            "_dlt_load_id": _repeated(load_id, count),
        }

    def _file_row(self, file: EventFile | RecordSource, size: int | None, count: FileCount) -> dict[str, Any]:
        return {
            "source_file": file.name,
            "size_bytes": size,
            "modified_at": file.modified_at,
            "lines": count.lines,
            "events": count.events,
            "quarantined": count.quarantined.total(),
            "unknown_fields": count.unknown_lines,
            "unknown_field_names": ",".join(count.shown_names()) or None,
        }


def _repeated(text: str, count: int) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.repeat(pa.scalar(0, pa.int32()), count), pa.array([text], pa.string())
    )
