"""Helpers for tests of the events source: files in, rows of the raw tables out."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from pipelines.sources import events
from pipelines.sources.load import LoadReport
from pipelines.warehouse import Warehouse, environment


def warehouse_in(folder: Path) -> Warehouse:
    """Make a warehouse of its own in a folder."""
    return Warehouse(
        target="duckdb", duckdb_path=folder / "w.duckdb", schema_prefix="", reporting_timezone="UTC"
    )


def event(number: int = 1, /, **changes: Any) -> dict[str, Any]:
    """Make a plain native event; None takes a field out."""
    made: dict[str, Any] = {
        "event_id": f"e{number}",
        "event_key": "test_completed",
        "service_key": "app",
        "user_id": 7,
        "occurred_at": "2026-03-01T10:00:00Z",
        "metadata": {"session_id": f"s{number}", "status": "success"},
    }
    return {name: value for name, value in (made | changes).items() if value is not None}


def lines(contents: Iterable[object]) -> bytes:
    """Write JSON lines; bytes are taken as they are."""
    return b"".join(
        (content if isinstance(content, bytes) else json.dumps(content).encode()) + b"\n"
        for content in contents
    )


def load(folder: Path, path: Path | str | None = None, **settings: str) -> LoadReport:
    """Load `folder`/in (or another place) into the warehouse in `folder`."""
    shown: list[str] = []
    place = str(path or folder / "in")
    with environment(**({"SOURCES__EVENTS__PATH": place, "SOURCES__EVENTS__PRESET": "native"} | settings)):
        return events.load(warehouse_in(folder), shown.append)


def load_lines(folder: Path, contents: Iterable[object], **settings: str) -> LoadReport:
    """Write one file of JSON lines and load it."""
    (folder / "in").mkdir(exist_ok=True)
    (folder / "in" / "a.jsonl").write_bytes(lines(contents))
    return load(folder, **settings)


def rows(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Run a query on the warehouse in a folder, with raw_events as its schema."""
    with duckdb.connect(str(folder / "w.duckdb"), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set schema = 'raw_events'")
        return connection.execute(sql).fetchall()


def fates(folder: Path) -> list[tuple[Any, ...]]:
    """List the quarantined lines."""
    return rows(folder, "select line_number, reason, field from quarantine order by all")
