"""Blocks of JSON lines to columns of events: the fast way for ordinary lines, the definition for all others.

DuckDB reads the JSON. It is more lenient than RFC 8259 and keeps only one of several equal names, so a line counts as
ordinary only if it is plain in every respect that `canonical` could judge otherwise; any doubt sends it there.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.privacy.identity import Keys
from pipelines.sources.events import canonical, vectors
from pipelines.sources.events.blocks import Block
from pipelines.sources.events.canonical import Refused
from pipelines.sources.events.instants import MICROSECONDS_A_DAY
from pipelines.sources.events.mapping import Mapping
from pipelines.sources.events.ordinary import count_in_lines, ordinary_lines
from pipelines.sources.events.rows import event_table
from pipelines.sources.events.shapes import Shape, Shapes, braces_expected, json_path
from pipelines.sources.events.tables import INSTANT, READ_EVENTS
from pipelines.sources.events.users import Users, meaning
from pipelines.sources.events.vectors import Flags, Numbers, Tokens

Rows = npt.NDArray[np.int32]

LINES_TO_LEARN_FROM = 16

BOOLEANS = {"true": True, "false": False}

EXTRACTED = (
    "event_id",
    "event_key",
    "service_key",
    "user_id",
    "occurred_at",
    "received_at",
    "is_test",
    "session_id",
    "status",
    "error_code",
)


@dataclass(frozen=True)
class Rejected:
    """A line that makes no event."""

    line_number: int
    reason: str
    field: str | None
    line_hash: str


@dataclass
class Outcome:
    """What a number of lines turned out to be."""

    events: list[pa.Table] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unknown_lines: int = 0
    unknown_names: Counter[str] = field(default_factory=Counter)
    left_over: int = 0
    """Bytes at the end of a growing file that were left for the next run."""

    @property
    def event_count(self) -> int:
        """Rows in `events`."""
        return sum(table.num_rows for table in self.events)

    def add_unknown(self, names: Sequence[str], lines: int = 1) -> None:
        """Count lines that carried fields outside the mapping."""
        if names:
            self.unknown_lines += lines
            for name in names:
                self.unknown_names[name] += lines


class LineReader:
    """Reads blocks of JSON lines of one file (or of several that look alike)."""

    def __init__(self, mapping: Mapping, keys: Keys, users: Users) -> None:
        self._mapping = mapping
        self._keys = keys
        self._users = users
        # One thread each: several readers work at once, on different blocks.
        self._connection = duckdb.connect(config={"threads": 1})
        self._paths = [(name, path) for name in EXTRACTED for path in mapping.of(name)]
        self._shapes = Shapes(mapping, self._query)
        self._key_categories = vectors.Categories(lambda token: canonical.printable_key(meaning(token)))
        self._code_categories = vectors.Categories(lambda token: canonical.printable_code(meaning(token)))
        self._flag_categories = vectors.Categories(_flag)

    def close(self) -> None:
        """Free the memory of the embedded database."""
        self._connection.close()

    def read(self, block: Block) -> Outcome:
        """Read a block; every line that is not blank ends in `events` or in `rejected`."""
        self._learn(block)
        outcome = Outcome()
        is_left = np.ones(len(block), np.bool_)
        rows = np.flatnonzero(ordinary_lines(block)).astype(np.int32)
        if len(rows):
            is_left[self._read_ordinary(block, rows, outcome)] = False
        self._read_others(block, np.flatnonzero(is_left).astype(np.int32), outcome)
        return outcome

    def _learn(self, block: Block) -> None:
        for row in range(0, len(block), len(block) // LINES_TO_LEARN_FROM + 1):
            if self._shapes.knows_enough:
                return
            with suppress(Refused):
                self._shapes.learn(canonical.parse_object(block.line(row)))

    def _read_ordinary(self, block: Block, rows: Rows, outcome: Outcome) -> Rows:
        """Read those lines that are ordinary in every respect, and return their rows."""
        lines = block.lines()
        table = _table(lines, rows)
        shapes, positions = self._shapes.of(table)
        clean = np.array([shape.is_clean for shape in shapes], np.bool_)[positions]
        # As many braces as objects: nothing hides in an object that was not looked into.
        clean &= count_in_lines(block, b"{")[rows] == braces_expected(shapes, positions)
        if not clean.all():
            rows, positions = rows[clean], positions[clean]
            table = _table(lines, rows)
        if not len(rows):
            return rows
        columns, sure = self._canonical_columns(self._tokens(table, shapes), len(rows))
        if not sure.all():
            rows, positions, columns = rows[sure], positions[sure], columns.filter(pa.array(sure))
        for shape, count in zip(shapes, np.bincount(positions, minlength=len(shapes)).tolist(), strict=True):
            if count:
                outcome.add_unknown(shape.unknown, count)
        columns = columns.append_column(
            "line_number", pa.array(rows.astype(np.int64) + block.first_line_number)
        )
        outcome.events.append(
            pa.table([columns.column(name) for name in READ_EVENTS.names], schema=READ_EVENTS)
        )
        return rows

    def _tokens(self, table: pa.Table, shapes: Sequence[Shape]) -> list[tuple[str, pa.StringArray]]:
        """Take the mapped values out of lines: columns of tokens, each with the name of its field."""
        wanted = [
            (name, path) for name, path in self._paths if any(path in shape.present for shape in shapes)
        ]
        if not wanted:
            return []
        paths = ", ".join(json_path(path) for _, path in wanted)
        columns = ", ".join(f"tokens[{number}] as token_{number}" for number in range(1, len(wanted) + 1))
        tokens = self._query(
            f"select {columns} from (select json_extract(line, [{paths}]) as tokens from lines)",  # noqa: S608
            table,
        )
        found = [
            (name, column.combine_chunks()) for (name, _), column in zip(wanted, tokens.columns, strict=True)
        ]
        return [(name, column) for name, column in found if column.null_count < len(column)]

    def _canonical_columns(
        self, tokens: list[tuple[str, pa.StringArray]], rows: int
    ) -> tuple[pa.Table, Flags]:
        """Read the columns of tokens; the rows that are not sure hold nothing of use."""

        def of(name: str) -> list[pa.StringArray]:
            return [column for field, column in tokens if field == name]

        columns: dict[str, Any] = {}
        sure = np.ones(rows, np.bool_)
        for name in ("event_id", "session_id"):
            columns[name], absent, unsure = _first_id(of(name), rows)
            sure &= ~unsure & ~(absent & (name == "event_id"))
        for name, categories in (
            ("event_key", self._key_categories),
            ("service_key", self._key_categories),
            ("status", self._code_categories),
            ("error_code", self._code_categories),
        ):
            positions = categories.read(of(name), rows)
            sure &= (positions != vectors.UNSURE) & ~((positions == vectors.ABSENT) & (name == "event_key"))
            columns[name] = vectors.coded(positions, categories.values)
        columns["user_key"], columns["record_key"], unsure = self._users.of_tokens(of("user_id"), rows)
        sure &= ~unsure
        positions = self._flag_categories.read(of("is_test"), rows)
        sure &= positions != vectors.UNSURE
        columns["is_test"] = pa.array(
            np.array([*self._flag_categories.values, False, False], np.bool_)[positions]
        )
        occurred_at, absent, unsure = _first_instant(of("occurred_at"), rows)
        received_at, not_received, not_sure = _first_instant(of("received_at"), rows)
        sure &= ~(absent | unsure | not_sure)
        sure &= (occurred_at >= canonical.EARLIEST) & (occurred_at < canonical.LATEST)
        sure &= not_received | (occurred_at <= received_at + MICROSECONDS_A_DAY)
        columns["occurred_at"] = pa.array(occurred_at).cast(INSTANT)
        columns["received_at"] = pa.array(received_at, mask=not_received).cast(INSTANT)
        return pa.table(columns), sure

    def _read_others(self, block: Block, rows: Rows, outcome: Outcome) -> None:
        """Read lines one by one, by the definition."""
        events, numbers = [], []
        for row in rows.tolist():
            line = block.line(row)
            if canonical.is_blank(line):
                continue
            number = block.first_line_number + row
            try:
                event = canonical.read_line(line, self._mapping)
            except Refused as refused:
                outcome.rejected.append(
                    Rejected(number, refused.reason, refused.field, self._keys.line_hash(line))
                )
                continue
            outcome.add_unknown(event.unknown)
            events.append(event)
            numbers.append(number)
        if events:
            outcome.events.append(event_table(events, numbers, self._keys, self._users))

    def _query(self, sql: str, lines: pa.Table) -> pa.Table:
        self._connection.register("lines", lines)
        try:
            return self._connection.sql(sql).to_arrow_table()
        finally:
            self._connection.unregister("lines")


def _table(lines: pa.StringArray, rows: Rows) -> pa.Table:
    if len(rows) < len(lines):
        lines = lines.take(pa.array(rows))
    return pa.table({"line": lines})


def _first_id(columns: Sequence[pa.StringArray], rows: int) -> tuple[pa.Array, Flags, Flags]:
    """Read the first id of several columns of tokens: values, rows without one, rows that are not sure."""
    values: pa.Array = pa.nulls(rows, pa.string())
    absent, unsure = np.ones(rows, np.bool_), np.zeros(rows, np.bool_)
    for column in columns:
        tokens = Tokens(column)
        found, not_sure = vectors.ids(tokens)
        values = found if absent.all() else pc.coalesce(values, found)
        unsure |= absent & not_sure
        absent &= tokens.absent
    return values, absent, unsure


def _first_instant(columns: Sequence[pa.StringArray], rows: int) -> tuple[Numbers, Flags, Flags]:
    """Read the first instant of several columns of tokens: values, rows without one, rows that are not sure."""
    values = np.zeros(rows, np.int64)
    absent, unsure = np.ones(rows, np.bool_), np.zeros(rows, np.bool_)
    for column in columns:
        found, not_there, not_sure = vectors.instants(Tokens(column))
        values = np.where(absent, found, values)
        unsure |= absent & not_sure
        absent &= not_there
    return values, absent, unsure


def _flag(token: str) -> bool | None:
    return BOOLEANS[token] if token in BOOLEANS else canonical.flag(meaning(token))
