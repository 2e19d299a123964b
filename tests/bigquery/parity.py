"""Two builds of one scene, on DuckDB and by Google's engine, and what differs between them."""

import datetime as dt
import math
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from bigquery.builds import PROJECT, build_by_reference, build_on_duckdb, run
from bigquery.engine import Path3
from bigquery.scene import REPORTS, Scene
from bigquery.service import Sent, Service, Stored

STARTED = tuple(dt.datetime(2025, 4, 1, hour, tzinfo=dt.UTC) for hour in (5, 6))
OWN = {"event_hash", "session_hash", "user_hash", "settings"}
"""Columns that say the same of a row on both warehouses and are different values: each has its own hash function."""


@dataclass
class Step:
    """What one build left behind."""

    sent: list[Sent]
    results: list[tuple[str, str, str]]
    """Unique id, status and message of each node."""
    types: dict[str, dict[str, str]]
    """Types of the columns of each table that the engine built, by `dataset.name`."""
    rows: dict[str, int]
    differences: list[str]


@dataclass
class Parity:
    """Both warehouses, from the first load to the second build and its data tests."""

    folder: Path
    steps: list[Step] = field(default_factory=list)
    tested: Step | None = None
    manifest: Any = None

    def go(self) -> "Parity":
        """Load and build twice; test the data at the end."""
        scene, service = Scene(self.folder), Service(PROJECT)
        for number, report_date in enumerate(REPORTS):
            scene.load(number)
            for path, table in scene.raw().items():
                service.put((PROJECT, *path), Stored(table))
            if number == 0:
                settings = scene.warehouse.dbt_environment()
                run("duckdb", settings, str(scene.warehouse.state_folder / "dbt"), ["seed"], STARTED[0])
                build_by_reference(service, scene.warehouse, report_date, STARTED[0], "seed")
            build_on_duckdb(scene.warehouse, report_date, STARTED[number])
            self.steps.append(self._step(scene, service, "run", number))
        service.is_only_checking = True
        self.tested = self._step(scene, service, "test", 1)
        return self

    def _step(self, scene: Scene, service: Service, command: str, number: int) -> Step:
        service.log.clear()
        arguments = [command, *(["--exclude-resource-type", "unit_test"] if command == "test" else [])]
        results = build_by_reference(service, scene.warehouse, REPORTS[number], STARTED[number], *arguments)
        built = {
            path: service.stored[path]
            for path in sorted(service.stored)
            if not path[1].startswith("raw_") or path[1:] == ("raw_events", "quarantine")
        }
        return Step(
            list(service.log),
            [(each.node.unique_id, str(each.status), str(each.message)) for each in results],
            {".".join(path[1:]): stored.table.types for path, stored in built.items()},
            {".".join(path[1:]): len(service.rows(path)) for path in built},
            [line for path in built for line in differences(scene, service, path)]
            if command == "run"
            else [],
        )


def differences(scene: Scene, service: Service, path: Path3) -> list[str]:
    """Hold a table against DuckDB's of the same name; one line for each kind of difference."""
    columns = list(service.stored[path].table.columns)
    return compared(scene, ".".join(path[1:]), columns, service.rows(path).values(), "by Google's engine")


def compared(
    scene: Scene, name: str, columns: list[str], rows: list[tuple[Any, ...]], where: str
) -> list[str]:
    """Hold the rows that a table has somewhere against DuckDB's, row by row; one line for each kind of difference."""
    places = [number for number, column in enumerate(columns) if column not in OWN]
    columns = [columns[place] for place in places]
    chosen = ", ".join(f'"{column}"' for column in columns)
    with duckdb.connect(str(scene.warehouse.duckdb_path), read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")
        expected = connection.execute(f"select {chosen} from {name}").fetchall()
    found = [tuple(row[place] for place in places) for row in rows]
    if len(expected) != len(found):
        return [f"{name}: {len(expected)} rows on DuckDB, {len(found)} {where}"]
    ours, theirs = (sorted(map(_ordered, rows), key=_place) for rows in (expected, found))
    return [
        f"{name}.{column}: {mine!r} on DuckDB, {other!r} {where}"
        for left, right in zip(ours, theirs, strict=True)
        for column, mine, other in zip(columns, left, right, strict=True)
        if not same(mine, other)
    ][:3]


def same(mine: object, other: object) -> bool:
    """Whether two values are equal; floats to 1e-12 of what they are."""
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=1e-12, abs_tol=1e-12)
    return type(mine) is type(other) and mine == other


def _ordered(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row in one spelling, so that equal rows stand side by side."""
    return tuple(_plain(value) for value in row)


def _place(row: tuple[Any, ...]) -> tuple[str, str]:
    """Where a row stands: the last digits of a number say nothing of that, unless nothing else does."""
    rounded = [f"{value:.9g}" if isinstance(value, float | Decimal) else value for value in row]
    return repr(rounded), repr(row)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC)
    if isinstance(value, Decimal):
        # 0.10 and 0.1 are one number.
        return Decimal(0) if value == 0 else value.normalize()
    return value


def kinds(sent: list[Sent]) -> Counter[str]:
    """How many statements of each kind were sent."""
    return Counter(each.kind for each in sent)
