"""Builds and commands of one scene, on DuckDB and by Google's engine, and what differs between them."""

import datetime as dt
import math
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from bigquery.builds import PROJECT, build_by_reference, build_on_duckdb
from bigquery.commands import LOOKS, Said, kpi, on_google
from bigquery.engine import Path3
from bigquery.scene import ERASED_LATER, REPORTS, Scene
from bigquery.service import Sent, Service, Stored
from pipelines.warehouse import Warehouse

STARTED = tuple(dt.datetime(2025, 4, 1, hour, tzinfo=dt.UTC) for hour in (5, 6, 7))
OWN = {"event_hash", "session_hash", "user_hash", "settings", "erased_at"}
"""Columns that say the same of a row on both warehouses and are different values: each has its own hash function, and its
own instant of an erasure."""


CHANGED_BY_US = {("raw_events", "events"), ("raw_events", "quarantine")}
"""Raw tables that not only loads write to."""


@dataclass
class Step:
    """What one build left behind."""

    sent: list[Sent]
    results: list[tuple[str, str, str]]
    """Unique id, status and message of each node."""
    types: dict[str, dict[str, str]]
    """Types of the columns of each table that the engine built, by `dataset.name`."""
    rows: dict[str, int] = field(default_factory=dict)
    """How many rows each table has, by the same name."""
    differences: list[str] = field(default_factory=list)


@dataclass
class Parity:
    """Both warehouses, from the first load to the build without somebody who was erased."""

    folder: Path
    steps: list[Step] = field(default_factory=list)
    """The first build, the incremental one, and the one after an erasure."""
    tested: Step | None = None
    unit_tested: Step | None = None
    said: dict[tuple[str, ...], tuple[Said, Said]] = field(default_factory=dict)
    """What each command said on DuckDB and on BigQuery, by its arguments."""

    @cached_property
    def scene(self) -> Scene:
        """What is loaded."""
        return Scene(self.folder)

    @cached_property
    def service(self) -> Service:
        """The warehouse of Google's engine."""
        return Service(PROJECT)

    @property
    def warehouses(self) -> tuple[Warehouse, Warehouse]:
        """On DuckDB and on BigQuery."""
        return self.scene.warehouse, on_google(self.scene.warehouse)

    def go(self) -> "Parity":
        """Load and build twice, test the data and the models, run every command, build once more."""
        for number, report_date in enumerate(REPORTS):
            self.scene.load(number)
            for path, table in self.scene.raw().items():
                self.service.put((PROJECT, *path), Stored(table))
            # The rates of exchange change between the builds.
            seed = ["seed", *(["--select", "fx_rates"] if number else [])]
            build_on_duckdb(self.scene.warehouse, report_date, STARTED[number], *seed)
            build_by_reference(self.service, self.scene.warehouse, report_date, STARTED[number], *seed)
            self._build(number)
        self.service.is_only_checking = True
        self.tested = self._step(1, "test", "--exclude-resource-type", "unit_test")
        self.service.is_only_checking = False
        self.unit_tested = self._step(1, "test", "--select", "test_type:unit")
        for arguments in LOOKS:
            self._say(*arguments)
        self._say("forget", ERASED_LATER, "--no-build")
        # Figures of all metrics take time and are made of what is compared here.
        self._build(2, "--select", "stg_events__erasures+", "--exclude", "metric_data+")
        return self

    def _say(self, *arguments: str) -> None:
        duckdb_says, google_says = (kpi(house, self.service, *arguments) for house in self.warehouses)
        self.said[arguments] = (duckdb_says, google_says)

    def _build(self, number: int, *selected: str) -> None:
        report_date = REPORTS[min(number, 1)]
        build_on_duckdb(self.scene.warehouse, report_date, STARTED[number], "run", *selected)
        step = self._step(number, "run", *selected)
        for path in sorted(self.service.stored):
            if not path[1].startswith("raw_") or path[1:] in CHANGED_BY_US:
                step.rows[".".join(path[1:])] = len(self.service.rows(path))
                step.differences += differences(self.scene, self.service, path)
        self.steps.append(step)

    def _step(self, number: int, *arguments: str) -> Step:
        self.service.log.clear()
        report_date = REPORTS[min(number, 1)]
        results = build_by_reference(
            self.service, self.scene.warehouse, report_date, STARTED[number], *arguments
        )
        return Step(
            list(self.service.log),
            [(each.node.unique_id, str(each.status), str(each.message)) for each in results],
            {
                ".".join(path[1:]): stored.table.types
                for path, stored in self.service.stored.items()
                if not path[1].startswith("raw_")
            },
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
