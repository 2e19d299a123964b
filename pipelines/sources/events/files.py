"""Event files: where they lie, which are new, how they are opened."""

import datetime as dt
import gzip
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, cast

import fsspec  # type: ignore[import-untyped]

from pipelines.errors import KpiError, SettingError

FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl", ".csv": "csv", ".parquet": "parquet"}
WILDCARD = re.compile(r"[*?\[]")
MODIFIED_KEYS = ("mtime", "modified", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class EventFile:
    """One file as it was when the folder was listed."""

    name: str
    """Path below the configured folder, with `/` on every system; never an absolute one."""
    path: str
    file_system: Any
    size: int
    modified_at: dt.datetime | None
    format: str
    is_gzip: bool

    @property
    def identity(self) -> tuple[str, int, dt.datetime | None]:
        """What a file is remembered by once it was read."""
        return self.name, self.size, self.modified_at

    def is_complete(self) -> bool:
        """Look again whether the file is as large as it was; a growing one may end in the middle of a line."""
        self.file_system.invalidate_cache()
        return self.is_gzip or int(self.file_system.info(self.path)["size"]) == self.size

    @contextmanager
    def open_raw(self) -> Iterator[io.BufferedIOBase]:
        """Open the file's own bytes."""
        with self.file_system.open(self.path, "rb") as stream:
            yield stream

    @contextmanager
    def open(self) -> Iterator[io.BufferedIOBase]:
        """Open the content, unpacked, up to the size that was listed."""
        with self.open_raw() as stream:
            limited = Limited(stream, self.size)
            yield cast(
                io.BufferedIOBase,
                gzip.GzipFile(fileobj=io.BufferedReader(limited, 1 << 20)) if self.is_gzip else limited,
            )


class Limited(io.RawIOBase):
    """The first bytes of a stream, and no more even if it has grown."""

    def __init__(self, stream: io.BufferedIOBase, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer."""
        with memoryview(buffer) as view:
            read = int(self._stream.readinto(view[: self._left]))
        self._left -= read
        return read


def find_files(location: str) -> list[EventFile]:
    """List the event files of a folder, a glob, a single file or an fsspec URL, by name.

    Raises SettingError naming a place that does not exist, KpiError where it cannot be listed.
    """
    try:
        file_system, path = fsspec.core.url_to_fs(location)
        root, listed = _listed(file_system, path)
    except (ImportError, ValueError) as error:
        raise SettingError(
            f"SOURCES__EVENTS__PATH names a place that cannot be opened here ({type(error).__name__}).",
            "Use a folder, a glob, a file, or a URL such as gs://bucket/folder or s3://bucket/folder.",
        ) from error
    except FileNotFoundError:
        raise SettingError(
            f"SOURCES__EVENTS__PATH is '{location}', and there is nothing there.",
            "Set it to a folder, a glob or a file that exists.",
        ) from None
    except PermissionError:
        raise KpiError(f"{location} may not be read.", "Give this user the right to read it.") from None
    except Exception as error:  # each remote file system raises errors of its own
        raise KpiError(
            f"The place that SOURCES__EVENTS__PATH names cannot be listed ({type(error).__name__}).",
            "Check its name, the credentials of its file system and the network, then start again.",
        ) from error
    found = [_event_file(file_system, root, path, info) for path, info in listed.items()]
    return sorted((file for file in found if file is not None), key=lambda file: file.name)


def _listed(file_system: Any, path: str) -> tuple[str, dict[str, Any]]:
    """Give the fixed part of a path and the information on all files that it stands for."""
    file_system.invalidate_cache()
    if file_system.isfile(path):
        return path.rpartition("/")[0], {path: file_system.info(path)}
    if file_system.isdir(path):
        return path, file_system.find(path, detail=True)
    wildcard = WILDCARD.search(path)
    if wildcard is None:
        raise FileNotFoundError(path)
    root = path[: wildcard.start()].rpartition("/")[0]
    if root and not file_system.isdir(root):
        raise FileNotFoundError(path)
    found = file_system.glob(path, detail=True)
    return root, {name: info for name, info in found.items() if info["type"] == "file"}


def _event_file(file_system: Any, root: str, path: str, info: dict[str, Any]) -> EventFile | None:
    name = path.removeprefix(root).lstrip("/")
    if any(part.startswith(".") for part in PurePosixPath(name).parts):
        return None
    plain = name.lower().removesuffix(".gz")
    file_format = FORMATS.get(PurePosixPath(plain).suffix)
    is_gzip = plain != name.lower()
    if file_format is None or (is_gzip and file_format == "parquet"):
        return None
    return EventFile(name, path, file_system, int(info["size"]), _modified_at(info), file_format, is_gzip)


def _modified_at(info: dict[str, Any]) -> dt.datetime | None:
    value = next((info[key] for key in MODIFIED_KEYS if info.get(key) is not None), None)
    if isinstance(value, int | float):
        return dt.datetime.fromtimestamp(value, dt.UTC)
    if isinstance(value, str):
        value = dt.datetime.fromisoformat(value)
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
    return None
