"""The inbox: lines that were handed over, safely on disk until a load has taken them.

Two folders, `events` and `metric_values`. In each, writers append to one open file, `.open`; a load first seals it, which
gives it a name of its own, and from then on it never changes. Both hold a lock meanwhile, which ends with the process that
holds it. What a killed writer left of a line is cut off by whoever comes next: it was never acknowledged.
"""

import datetime as dt
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from pipelines.errors import KpiError

Kind = Literal["events", "metric_values"]

LARGEST_FILE = 64 << 20
"""Bytes after which a writer seals the open file itself."""
KEPT_DAYS = 30
"""How long a file stays after it was loaded."""
PATIENCE = 30.0
"""Seconds to wait for another writer or a load; both hold the lock for milliseconds."""
_OPEN = ".open"
_LOCK = ".lock"
_STEP = 1 << 16


class Inbox:
    """The two folders of one warehouse's inbox. Nothing is made before something is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._folder

    def files_folder(self, kind: Kind) -> Path:
        """The folder of one kind of lines."""
        return self._folder / kind

    def is_used(self, kind: Kind) -> bool:
        """Tell whether anything was ever written."""
        return self.files_folder(kind).is_dir()

    def append(self, kind: Kind, lines: Sequence[bytes]) -> None:
        """Write lines, each ending in a line feed, so that they are on disk when this returns.

        Raises OSError where they cannot be written, KpiError where the lock is not to be had; then none of them counts.
        """
        self._make_folder(kind)
        with self._locked(kind), self._opened(kind) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                _write(file, b"".join(lines))
                os.fsync(file.fileno())
            except OSError:
                # A full disk: what fitted on it must not be taken for a line.
                with suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                raise
            if size == 0:
                _sync_folder(self.files_folder(kind))
            if file.tell() >= LARGEST_FILE:
                self._seal(kind)

    def seal(self, kind: Kind) -> list[Path]:
        """Close the open file to further lines; give all files that never change any more, oldest first.

        Raises KpiError where the lock is not to be had.
        """
        if not self.is_used(kind):
            return []
        with self._locked(kind):
            if (self.files_folder(kind) / _OPEN).exists():
                with self._opened(kind) as file:
                    size = file.seek(0, os.SEEK_END)
                if size:
                    self._seal(kind)
        return sorted(self.files_folder(kind).glob("[!.]*.jsonl"))

    def prune(self, kind: Kind, loaded: set[str], now: dt.datetime) -> None:
        """Remove files that were loaded, by their names, and have lain there long enough."""
        oldest = (now - dt.timedelta(days=KEPT_DAYS)).timestamp()
        for path in self.files_folder(kind).glob("[!.]*.jsonl"):
            if path.name in loaded and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _make_folder(self, kind: Kind) -> None:
        folder = self.files_folder(kind)
        if not folder.is_dir():
            # Events come with raw ids of people.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for made in (folder.parent, folder.parent.parent):
                _sync_folder(made)

    @contextmanager
    def _locked(self, kind: Kind) -> Iterator[None]:
        lock = FileLock(self.files_folder(kind) / _LOCK, timeout=PATIENCE, mode=0o600)
        try:
            with lock:
                yield
        except Timeout:
            raise KpiError(
                f"Another process has held the inbox {self.files_folder(kind)} for {PATIENCE:.0f} seconds.",
                "End the kpi process that hangs, then start again.",
            ) from None

    @contextmanager
    def _opened(self, kind: Kind) -> Iterator[FileIO]:
        """Open the open file for more, cut after its last whole line."""
        path = self.files_folder(kind) / _OPEN
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        # Without a buffer: what could not be written must not be tried again when the file is closed.
        with FileIO(descriptor, "r+") as file:
            size = file.seek(0, os.SEEK_END)
            whole = _end_of_lines(file, size)
            if whole < size:
                file.truncate(whole)
            yield file

    def _seal(self, kind: Kind) -> None:
        folder = self.files_folder(kind)
        # Names are in the order of sealing, whatever the clock does.
        newest = max((path.name for path in folder.glob("[!.]*.jsonl")), default="")
        name = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}.jsonl"
        if name <= newest:
            name = f"{newest.removesuffix('.jsonl')}z.jsonl"
        (folder / _OPEN).rename(folder / name)
        _sync_folder(folder)


def _write(file: FileIO, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[file.write(left) :]


def _end_of_lines(file: FileIO, size: int) -> int:
    """Find where the last whole line ends."""
    end = size
    while end > 0:
        start = max(0, end - _STEP)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on disk, where the system knows such a thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
