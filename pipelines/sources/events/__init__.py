"""Events into `raw_events`: product events from files, a Directus collection or a SQL table.

Settings, all beginning with SOURCES__EVENTS__: PATH (a folder, a glob, a file or an fsspec URL); DIRECTUS_URL,
DIRECTUS_TOKEN (secret), DIRECTUS_COLLECTION (events), DIRECTUS_CURSOR; SQL_URL (secret), SQL_TABLE, SQL_CURSOR;
OVERLAP_HOURS (24); PRESET (native, directus or segment). Changes to the preset stand in .dlt/config.toml under
[sources.events.mapping]. Events that were handed over to kpi serve are read from its inbox (KPI_INBOX_PATH) besides.
"""

import datetime as dt
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dlt
from dlt.common.storages.load_package import load_package_state
from dlt.extract import DltResource, with_file_import

from pipelines.errors import KpiError, SettingError
from pipelines.inbox import Inbox
from pipelines.privacy.identity import check_fingerprints, load_keys
from pipelines.sources.events import tables
from pipelines.sources.events.files import EventFile, find_files
from pipelines.sources.events.mapping import REMEDY, Mapping, read_mapping
from pipelines.sources.events.reading import FileCount, Reading
from pipelines.sources.events.records import RecordSource, configured
from pipelines.sources.load import LoadReport, Progress, finish_pending, query, run_pipeline
from pipelines.warehouse import Warehouse, secret, setting, warehouse

INBOX = "inbox:"
"""What the names of the inbox's files begin with in the raw tables."""

LARGEST_LOAD = 1 << 30
"""Bytes of event files in one load: what is loaded stays loaded if a later one is interrupted."""


def is_configured() -> bool:
    """Tell whether any way in is set, or events were handed over."""
    return _is_any_way_set() or Inbox(warehouse().inbox_folder).is_used("events")


def _is_any_way_set() -> bool:
    ways = (
        setting("sources.events.path"),
        setting("sources.events.directus_url"),
        secret("sources.events.sql_url"),
    )
    return any(way is not None for way in ways)


@dlt.source(name="events")
def events(reading: Reading) -> Iterable[DltResource]:
    """Rows of the four raw tables of one load."""

    def parts(table: str) -> Iterator[Any]:
        for path, rows in reading.parts(table, _load_id()):
            yield with_file_import(str(path), "parquet", rows)

    def files() -> Iterator[Any]:
        yield reading.file_rows(_load_id())

    def fingerprints() -> Iterator[Any]:
        yield reading.fingerprint_rows(_load_id())

    def resource(name: str, rows: Iterator[Any], schema: Any) -> DltResource:
        return dlt.resource(  # type: ignore[call-overload,no-any-return]
            rows,
            name=name,
            columns=tables.dlt_columns(schema),
            write_disposition="append",
            schema_contract=tables.FROZEN,
        )

    return (
        resource("events", parts("events"), tables.EVENTS),
        resource("quarantine", parts("quarantine"), tables.QUARANTINE),
        resource("files", files(), tables.FILES),
        resource("key_fingerprints", fingerprints(), tables.KEY_FINGERPRINTS),
    )


@dlt.source(name="events")
def no_events() -> Iterable[DltResource]:
    """The raw tables without a row."""
    for name, schema in tables.ALL.items():
        yield dlt.resource(  # type: ignore[call-overload]
            [schema.empty_table()],
            name=name,
            columns=tables.dlt_columns(schema),
            schema_contract=tables.FROZEN,
        )


def ensure_tables(warehouse: Warehouse) -> None:
    """Make the raw tables if they are not there, for models that read them."""
    # The youngest of them: a warehouse of before it has the others.
    if not query(warehouse, f"select count(*) as stored from {warehouse.dataset('events')}.erasures"):  # noqa: S608 - a name of ours
        run_pipeline(warehouse, warehouse.pipeline("events"), no_events())


def load(warehouse: Warehouse, progress: Progress) -> LoadReport:
    """Load every event file that is new, grown or changed.

    Raises SettingError where nothing is configured or a setting cannot be used, KpiError where the keys are not those of
    the stored events or the load fails. A file that cannot be read is a failure in the report, and the others go on.
    """
    mapping = event_mapping()
    inbox = Inbox(warehouse.inbox_folder)
    if not _is_any_way_set() and not inbox.is_used("events"):
        raise SettingError(
            "No events are configured.",
            "Set SOURCES__EVENTS__PATH to a folder of event files (JSONL, CSV or Parquet).",
        )
    location = setting("sources.events.path")
    files = [] if location is None else find_files(location)
    handed_over = _inbox_files(inbox)
    records = configured(mapping)
    keys = load_keys(warehouse)
    pipeline = warehouse.pipeline("events")
    finish_pending(warehouse, pipeline)
    stored = _stored(warehouse)
    for row in stored[:1]:
        check_fingerprints(keys, row)
    erased = erasures(warehouse)
    known = {(row["source_file"], row["size_bytes"], _utc(row["modified_at"])) for row in stored}
    new = [file for file in [*files, *handed_over] if file.identity not in known]
    report = LoadReport("events", {"events": 0, "quarantine": 0, "files": 0})
    for record_source in records:
        record_source.resume(
            max((until for name, _, until in known if name == record_source.name and until), default=None)
        )
    if location is None:
        pass
    elif not files:
        report.notes.append(f"events: no event files in {location}.")
    elif not new:
        report.notes.append("events: no new event files.")
    folder = warehouse.state_folder / "events_spool"
    # A killed run may have left its own behind.
    shutil.rmtree(folder, ignore_errors=True)
    loaded_at = dt.datetime.now(dt.UTC)
    batches = _loads(new)
    batches.extend([source] for source in records)
    for batch in batches or ([] if stored else [[]]):
        reading = Reading(batch, mapping, keys, folder, loaded_at, progress, erased)
        try:
            run_pipeline(warehouse, pipeline, events(reading))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        _add_to(report, reading)
    loaded = {name.removeprefix(INBOX) for name, _, _ in known if name and name.startswith(INBOX)}
    inbox.prune("events", loaded, loaded_at)
    return report


def erasures(warehouse: Warehouse) -> frozenset[str]:
    """Give what tells the users who were forgotten (`Keys.erasure_id`)."""
    rows = query(warehouse, f"select erasure_id from {warehouse.dataset('events')}.erasures")  # noqa: S608 - a name of ours
    return frozenset(row["erasure_id"] for row in rows)


def _inbox_files(inbox: Inbox) -> list[EventFile]:
    """List what was handed over and is complete."""
    if not inbox.is_used("events"):
        return []
    folder = inbox.files_folder("events")
    try:
        inbox.seal("events")
    except OSError as error:
        raise KpiError(
            f"The inbox {folder} cannot be read ({error.strerror or type(error).__name__}).",
            "Give this user the right to read and to rename its files, then start again.",
        ) from error
    return [replace(file, name=f"{INBOX}{file.name}") for file in find_files(str(folder))]


def _load_id() -> str:
    return load_package_state()["load_id"]


def event_mapping() -> Mapping:
    """Read the mapping in force. Raises SettingError where it cannot be used."""
    changes: Any = dlt.config.get("sources.events.mapping") or {}
    if isinstance(changes, str):
        try:
            changes = json.loads(changes)
        except ValueError:
            changes = None
    if not isinstance(changes, dict):
        raise SettingError("The event mapping cannot be read.", REMEDY)
    return read_mapping(setting("sources.events.preset", "native") or "native", changes)


def _stored(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Tell the fingerprints of the keys with each file that was loaded; one row without a file where there was none."""
    schema = warehouse.dataset("events")
    return query(
        warehouse,
        # BigQuery takes no subquery in the condition of a join.
        f"""
        with
        key_pairs as (select distinct user_key, record_key from {schema}.key_fingerprints),
        loaded as (
            select source_file, size_bytes, modified_at from {schema}.files
            where _dlt_load_id in (select load_id from {schema}._dlt_loads where status = 0)
        )
        select user_key, record_key, source_file, size_bytes, modified_at
        from key_pairs left join loaded on true
        """,  # noqa: S608 - a name of ours
    )


def _utc(instant: dt.datetime | None) -> dt.datetime | None:
    return instant if instant is None else instant.astimezone(dt.UTC)


def _loads(files: Sequence[EventFile]) -> list[list[EventFile | RecordSource]]:
    """Cut the files into loads of a bounded size."""
    loads: list[list[EventFile | RecordSource]] = []
    size = 0
    for file in files:
        if not loads or size + file.size > LARGEST_LOAD:
            loads.append([])
            size = 0
        loads[-1].append(file)
        size += file.size
    return loads


def _add_to(report: LoadReport, reading: Reading) -> None:
    counts = reading.counts
    report.rows["events"] += sum(count.events for count in counts.values())
    report.rows["quarantine"] += sum(count.quarantined.total() for count in counts.values())
    report.rows["files"] += len(counts)
    report.failures.extend(f"events: {failure}" for failure in reading.failures)
    for name, count in counts.items():
        report.notes.extend(_notes(name, count))


def _notes(name: str, count: FileCount) -> Iterator[str]:
    for (reason, field), lines in sorted(count.quarantined.items(), key=str):
        examples = ", ".join(str(line) for line in count.examples[reason, field])
        about = f" ({field})" if field else ""
        yield f"events: {name}: {lines:,} {reason}{about} left out into quarantine, first lines: {examples}."
    if count.unknown_lines:
        names = ", ".join(f"{shown} ({count.unknown_names[shown]:,})" for shown in count.shown_names())
        yield (
            f"events: {name}: {count.unknown_lines:,} lines carried unknown fields, which were dropped"
            f"{': ' + names if names else ''}."
        )
