"""The made-up company's event files: one a day by the day on which the lines came in, in every format."""

import csv
import gzip
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.demo import oddities, users
from pipelines.demo.calendar import Company
from pipelines.demo.events import Delivery, Event, as_object

CARRIED_OVER = "events-carried-over.jsonl.gz"
# Which day comes in which format is the day's own, so that a day's file keeps its name.
CSV_DAY, PARQUET_DAY, EVERY = 40, 41, 120
DAYS_PLAIN_OR_COMPRESSED = 28


@dataclass
class Written:
    """What stands in the files."""

    files: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    """How many lines should meet which fate."""

    @property
    def lines(self) -> int:
        """All lines in all files."""
        return self.fates.total()


def write_events(company: Company, folder: Path) -> Written:
    """Write the files of a run; one that stands there already as it should be is left alone."""
    written = Written()
    by_file: dict[str, list[Delivery]] = defaultdict(list)
    for line in chain(users.deliveries(company), oddities.deliveries(company)):
        written.fates[line.fate] += 1
        by_file[_file_name(company, line)].append(line)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in by_file.items():
        content.sort(key=lambda line: line.received)
        _write(folder / name, _WRITERS[name.partition(".")[2]](content))
        written.files += 1
    return written


def _file_name(company: Company, line: Delivery) -> str:
    day = company.day_of(line.received)
    if day < company.first_day:
        return CARRIED_OVER
    if day % EVERY == CSV_DAY:
        suffix = "csv"
    elif day % EVERY == PARQUET_DAY:
        suffix = "parquet"
    else:
        suffix = "jsonl" if (day // DAYS_PLAIN_OR_COMPRESSED) % 2 else "jsonl.gz"
    return f"events-{company.date(day)}.{suffix}"


def _write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; an equal one keeps its time, so that it is not loaded again."""
    if path.exists() and path.read_bytes() == content:
        return
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_bytes(content)
    scratch.replace(path)


def _objects(lines: Iterable[Delivery]) -> list[dict[str, Any]]:
    return [as_object(line.content) for line in lines if isinstance(line.content, Event)]


def _jsonl(lines: list[Delivery]) -> bytes:
    texts = []
    for line in lines:
        content = as_object(line.content) if isinstance(line.content, Event) else line.content
        texts.append(content if isinstance(content, str) else json.dumps(content, separators=(",", ":")))
    return "".join(f"{text}\n" for text in texts).encode()


def _compressed(lines: list[Delivery]) -> bytes:
    return gzip.compress(_jsonl(lines), compresslevel=5, mtime=0)


def _csv(lines: list[Delivery]) -> bytes:
    rows = [{**row, "metadata": json.dumps(row["metadata"])} for row in _objects(lines)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(lines: list[Delivery]) -> bytes:
    rows = [{**row, "is_test": str(row["is_test"]).lower()} for row in _objects(lines)]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


_WRITERS = {"jsonl": _jsonl, "jsonl.gz": _compressed, "csv": _csv, "parquet": _parquet}
