"""From the inbox into `raw_pushed`: values, what was left out, and the files that were read.

Of several lines with one pushed_id the first in the inbox counts: one that says the same is a retry, any other a conflict.
Tables are merged by key, so that a file that is read twice leaves what one reading leaves.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from pipelines.errors import KpiError, SettingError
from pipelines.inbox import Inbox
from pipelines.privacy.identity import Keys, load_keys
from pipelines.sources.load import LoadReport, Progress, finish_pending, query, run_pipeline
from pipelines.sources.pushed.lines import read_line
from pipelines.sources.pushed.values import PushedValue, RejectedRow, Unfit
from pipelines.warehouse import Warehouse, warehouse

SOURCE = "pushed"
LARGEST_LOAD = 32 << 20
"""Bytes of inbox files in one load."""
IDS_A_QUERY = 1_000
MOST_EXAMPLES = 3

Row = dict[str, Any]

_TEXT = {"data_type": "text"}
_NEEDED = {"data_type": "text", "nullable": False}
_WHEN = {"data_type": "timestamp", "nullable": False}
_COUNT = {"data_type": "bigint", "nullable": False}
TABLES: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "metric_values": (
        ("pushed_id",),
        {
            "pushed_id": _NEEDED,
            "metric_key": _NEEDED,
            "value": {"data_type": "decimal", "precision": 38, "scale": 9, "nullable": False},
            "measured_at": _WHEN,
            "received_at": _WHEN,
            "source_file": _NEEDED,
            "line_number": _COUNT,
            "loaded_at": _WHEN,
        },
    ),
    "quarantine": (
        ("source_file", "line_number", "reason", "line_hash"),
        {
            "source_file": _NEEDED,
            "line_number": _COUNT,
            "reason": _NEEDED,
            "field": _TEXT,
            "line_hash": _NEEDED,
            "received_at": {"data_type": "timestamp"},
            "loaded_at": _WHEN,
        },
    ),
    "files": (
        ("source_file",),
        {
            "source_file": _NEEDED,
            "size_bytes": _COUNT,
            "lines": _COUNT,
            "metric_values": _COUNT,
            "retries": _COUNT,
            "quarantined": _COUNT,
            "loaded_at": _WHEN,
        },
    ),
}
"""Each raw table: what its rows are merged by, and its columns."""


@dlt.source(name=SOURCE)
def pushed(rows: dict[str, list[Row]]) -> Iterable[DltResource]:
    """The dlt source: rows of the raw tables of one load, each merged by its key."""
    for name, (key, columns) in TABLES.items():
        # dlt writes into what it is given, and columns of one form are one object above.
        own_columns: Any = {column: dict(form) for column, form in columns.items()}
        yield dlt.resource(
            _rows(rows.get(name, [])),
            name=name,
            primary_key=key,
            write_disposition="merge",
            columns=own_columns,
            schema_contract={"tables": "evolve", "columns": "freeze", "data_type": "freeze"},
        )


def _rows(rows: list[Row]) -> Iterator[Any]:
    yield dlt.mark.materialize_table_schema()
    yield rows


def is_configured() -> bool:
    """Tell whether anything was ever handed over."""
    return Inbox(warehouse().inbox_folder).is_used("metric_values")


def ensure_tables(warehouse: Warehouse) -> None:
    """Make the raw tables if they are not there, for models that read them."""
    if not query(warehouse, f"select count(*) as stored from {warehouse.dataset(SOURCE)}.files"):  # noqa: S608 - a name of ours
        run_pipeline(warehouse, warehouse.pipeline(SOURCE), pushed({}))


@dataclass
class _Reading:
    """What some files of the inbox hold."""

    warehouse: Warehouse
    loaded_at: dt.datetime
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    known: dict[str, Row] = field(default_factory=dict)
    """The values of this load, by their ids."""
    quarantined: set[tuple[Any, ...]] = field(default_factory=set)
    """The keys of the rows of this load that are left out."""
    left_out: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)

    @cached_property
    def keys(self) -> Keys:
        """What hashes the lines that are left out; nothing else needs it."""
        return load_keys(self.warehouse)


def load(warehouse: Warehouse, progress: Progress) -> LoadReport:
    """Load every inbox file that was not loaded yet.

    Raises SettingError where nothing was ever handed over, KpiError where the inbox cannot be read or the load fails.
    """
    inbox = Inbox(warehouse.inbox_folder)
    if not inbox.is_used("metric_values"):
        raise SettingError(
            f"Nothing was handed over yet: there is no {inbox.files_folder('metric_values')}.",
            "Push figures first, with kpi push FILE.csv or over kpi serve.",
        )
    pipeline = warehouse.pipeline(SOURCE)
    finish_pending(warehouse, pipeline)
    report = LoadReport(SOURCE, {"metric_values": 0, "quarantine": 0, "files": 0})
    loaded = {
        row["source_file"]
        for row in query(warehouse, f"select source_file from {warehouse.dataset(SOURCE)}.files")  # noqa: S608 - a name of ours
    }
    try:
        new = [path for path in inbox.seal("metric_values") if path.name not in loaded]
        for number, paths in enumerate(batches := _batches(new), 1):
            progress(f"pushed: {len(paths)} files ({number} of {len(batches)} loads)")
            reading = _Reading(warehouse, dt.datetime.now(dt.UTC))
            for path in paths:
                _read_file(path, reading)
            run_pipeline(warehouse, pipeline, pushed(reading.rows))
            _add_to(report, reading)
        inbox.prune("metric_values", loaded, dt.datetime.now(dt.UTC))
    except OSError as error:
        raise KpiError(
            f"The inbox {inbox.files_folder('metric_values')} cannot be read ({error.strerror or type(error).__name__}).",
            "Give this user the right to read and to rename its files, then start again.",
        ) from error
    return report


def _batches(paths: Sequence[Path]) -> list[list[Path]]:
    batches: list[list[Path]] = []
    size = 0
    for path in paths:
        if not batches or size + path.stat().st_size > LARGEST_LOAD:
            batches.append([])
            size = 0
        batches[-1].append(path)
        size += path.stat().st_size
    return batches


def _read_file(path: Path, reading: _Reading) -> None:
    content = path.read_bytes()
    lines = [(number, line) for number, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    parsed = [(number, line, _parsed(line)) for number, line in lines]
    ids = [value.pushed_id for _, _, value in parsed if isinstance(value, PushedValue)]
    stored = _stored(reading.warehouse, [pushed_id for pushed_id in ids if pushed_id not in reading.known])
    counts: Counter[str] = Counter()
    for number, line, item in parsed:
        place = {"source_file": path.name, "line_number": number, "loaded_at": reading.loaded_at}
        if isinstance(item, RejectedRow):
            # A row of a file that people pushed is told by its place there.
            place |= {"source_file": item.source_file, "line_number": item.line_number}
            _leave_out(reading, place, item.reason, item.field, item.line_hash, item.received_at)
            counts["quarantined"] += 1
        elif isinstance(item, Unfit):
            _leave_out(reading, place, item.reason, item.field, reading.keys.line_hash(line), None)
            counts["quarantined"] += 1
        else:
            row = _value_row(item) | place
            first = reading.known.get(item.pushed_id) or stored.get(item.pushed_id)
            if first is None or _is_same_arrival(first, row):
                reading.known[item.pushed_id] = row
                reading.rows["metric_values"].append(row)
                counts["metric_values"] += 1
            elif _says_the_same(first, item):
                counts["retries"] += 1
            else:
                _leave_out(reading, place, "conflict", "id", reading.keys.line_hash(line), item.received_at)
                counts["quarantined"] += 1
    names = ("metric_values", "retries", "quarantined")
    reading.rows["files"].append(
        {"source_file": path.name, "size_bytes": len(content), "lines": len(lines)}
        | {name: counts[name] for name in names}
        | {"loaded_at": reading.loaded_at}
    )


def _parsed(line: bytes) -> PushedValue | RejectedRow | Unfit:
    try:
        return read_line(line)
    except Unfit as unfit:
        return unfit


def _value_row(value: PushedValue) -> Row:
    return {
        "pushed_id": value.pushed_id,
        "metric_key": value.metric_key,
        "value": value.value,
        "measured_at": value.measured_at,
        "received_at": value.received_at,
    }


def _is_same_arrival(first: Row, row: Row) -> bool:
    """Tell whether a line was read before, by a load that did not come to its end."""
    return all(first[name] == row[name] for name in ("source_file", "line_number"))


def _says_the_same(first: Row, value: PushedValue) -> bool:
    said: Row = {"metric_key": value.metric_key, "value": value.value}
    if value.is_timed:
        said["measured_at"] = value.measured_at
    return said == {name: first[name] for name in said}


def _stored(warehouse: Warehouse, pushed_ids: Sequence[str]) -> dict[str, Row]:
    """Find the values that earlier loads stored under these ids."""
    found: dict[str, Row] = {}
    for start in range(0, len(pushed_ids), IDS_A_QUERY):
        some = pushed_ids[start : start + IDS_A_QUERY]
        rows = query(
            warehouse,
            f"""
            select pushed_id, metric_key, value, measured_at, source_file, line_number
            from {warehouse.dataset(SOURCE)}.metric_values
            where pushed_id in ({", ".join(["%s"] * len(some))})
            """,  # noqa: S608 - a name of ours
            *some,
        )
        for row in rows:
            row["value"] = Decimal(row["value"])
            row["measured_at"] = row["measured_at"].astimezone(dt.UTC)
            found[row["pushed_id"]] = row
    return found


def _leave_out(
    reading: _Reading,
    place: Row,
    reason: str,
    about: str | None,
    line_hash: str,
    received_at: dt.datetime | None,
) -> None:
    key = (place["source_file"], place["line_number"], reason, line_hash)
    if key in reading.quarantined:
        # The same file was pushed twice.
        return
    reading.quarantined.add(key)
    row = place | {"reason": reason, "field": about, "line_hash": line_hash, "received_at": received_at}
    reading.rows["quarantine"].append(row)
    group = (place["source_file"], reason, about or "")
    reading.left_out[group] += 1
    examples = reading.examples.setdefault(group, [])
    if len(examples) < MOST_EXAMPLES:
        examples.append(place["line_number"])


def _add_to(report: LoadReport, reading: _Reading) -> None:
    for name, rows in reading.rows.items():
        report.rows[name] += len(rows)
    for (source_file, reason, about), count in sorted(reading.left_out.items()):
        examples = ", ".join(map(str, reading.examples[source_file, reason, about]))
        shown = f" ({about})" if about else ""
        report.notes.append(
            f"pushed: {source_file}: {count:,} {reason}{shown} left out into quarantine, first lines: {examples}."
        )
    retries = sum(row["retries"] for row in reading.rows["files"])
    if retries:
        report.notes.append(
            f"pushed: {retries:,} values were sent again under an id that is known, and count once."
        )
