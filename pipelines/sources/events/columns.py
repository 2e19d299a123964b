"""Blocks of JSON lines to columns of events: the fast way for ordinary lines, the definition for all others.

DuckDB reads the JSON. It is more lenient than RFC 8259 and keeps only one of several equal names, so a line counts as
ordinary only if it is plain in every respect that `canonical` could judge otherwise; any doubt sends it there.
"""

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.privacy.identity import Keys, canonical_text
from pipelines.sources.events import canonical, vectors
from pipelines.sources.events.blocks import SCAN_SIZE, Block
from pipelines.sources.events.canonical import Refused
from pipelines.sources.events.instants import MICROSECONDS_A_DAY
from pipelines.sources.events.mapping import Mapping, Path
from pipelines.sources.events.rows import REMEMBERED_USERS, Pseudonyms, event_table, user_columns
from pipelines.sources.events.tables import INSTANT, READ_EVENTS
from pipelines.sources.events.vectors import Flags, Numbers, Tokens

Rows = npt.NDArray[np.int32]

LONGEST_ORDINARY_LINE = canonical.LONGEST_METADATA // 2
MOST_CONTAINERS = 16
LINES_TO_LEARN_FROM = 16

MOST_BRACKETS = 50
NOT_ORDINARY = r"(?i)nan|inf|,\s*[\]}]"
"""What DuckDB takes for JSON and RFC 8259 does not. Only lines with a SUSPICIOUS byte need to be searched for it."""
SUSPICIOUS = np.zeros(256, np.bool_)
SUSPICIOUS[list(b"nNfFyY \t\r\n")] = True
"""Bytes that may stand before a comma or a closing bracket at the end of such a thing: NaN, inf, Infinity, white space."""

PLAIN_INTEGER = re.compile(vectors.PLAIN_INTEGER)
JSON_NULL = "null"
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

    def __init__(self, mapping: Mapping, keys: Keys) -> None:
        self._mapping = mapping
        self._keys = keys
        self._pseudonyms = Pseudonyms(keys)
        # One thread each: several readers work at once, on different blocks.
        self._connection = duckdb.connect(config={"threads": 1})
        self._paths = [(name, path) for name in EXTRACTED for path in mapping.of(name)]
        self._containers: list[Path] = list(mapping.known)
        self._heads = {(name,) for name in mapping.heads}
        self._key_categories = vectors.Categories(lambda token: canonical.printable_key(_text(token)))
        self._code_categories = vectors.Categories(lambda token: canonical.printable_code(_text(token)))
        self._flag_categories = vectors.Categories(_flag)
        self._user_categories = vectors.Categories(_text, REMEMBERED_USERS)

    def close(self) -> None:
        """Free the memory of the embedded database."""
        self._connection.close()

    def read(self, block: Block) -> Outcome:
        """Read a block; every line that is not blank ends in `events` or in `rejected`."""
        self._learn(block)
        outcome = Outcome()
        ordinary = self._candidates(block)
        rows = np.flatnonzero(ordinary).astype(np.int32)
        if len(rows):
            ordinary[:] = False
            ordinary[self._read_ordinary(block, block.lines(), rows, outcome)] = True
        self._read_others(block, np.flatnonzero(~ordinary).astype(np.int32), outcome)
        return outcome

    def _learn(self, block: Block) -> None:
        """Look at some lines for the objects inside events, whose names are then checked fast."""
        for row in range(0, len(block), len(block) // LINES_TO_LEARN_FROM + 1):
            if len(self._containers) >= MOST_CONTAINERS:
                return
            try:
                content = canonical.parse_object(block.line(row))
            except Refused:
                continue
            new = (path for path in _object_paths(content, ()) if path not in self._containers)
            self._containers.extend(itertools.islice(new, MOST_CONTAINERS - len(self._containers)))

    def _candidates(self, block: Block) -> Flags:
        """Tell which lines may be ordinary, by their bytes alone."""
        data = np.frombuffer(block.data, np.uint8)
        starts, lengths = block.offsets[:-1], np.diff(block.offsets)
        first = data[np.minimum(starts, len(data) - 1)]
        ordinary: Flags = (first == b"{"[0]) & (lengths <= LONGEST_ORDINARY_LINE)
        lines = block.lines()
        try:
            lines.validate(full=True)
        except pa.ArrowInvalid:
            for row in np.flatnonzero(~np.asarray(pc.string_is_ascii(lines))).tolist():
                ordinary[row] = ordinary[row] and _is_text(block.line(row))
        if block.data.count(b"[") >= MOST_BRACKETS:
            brackets = np.bincount(block.rows_of(np.flatnonzero(data == b"["[0])), minlength=len(block))
            ordinary &= brackets < MOST_BRACKETS
        suspects = np.unique(block.rows_of(_suspicious(data)))
        suspects = suspects[ordinary[suspects]]
        if len(suspects):
            found = pc.match_substring_regex(lines.take(pa.array(suspects)), NOT_ORDINARY)
            ordinary[suspects] = ~np.asarray(found)
        return ordinary

    def _read_ordinary(self, block: Block, lines: pa.StringArray, rows: Rows, outcome: Outcome) -> Rows:
        """Read ordinary lines, and return the rows of those that were."""
        tokens = self._tokens(_table(lines, rows))
        columns, sure = self._canonical_columns(tokens)
        if not sure.all():
            rows, columns = rows[sure], columns.filter(pa.array(sure))
        groups = self._groups(block, _table(lines, rows))
        clean = np.sort(
            np.concatenate([group.rows for group in groups if group.names is not None] or [rows[:0]])
        )
        if len(clean) < len(rows):
            rows, columns = rows[clean], columns.take(pa.array(clean))
        for group in groups:
            if group.names is not None:
                outcome.add_unknown(self._unknown(group.names), len(group.rows))
        if len(rows):
            numbers = pa.array(rows.astype(np.int64) + block.first_line_number)
            columns = columns.append_column("line_number", numbers)
            outcome.events.append(
                pa.table([columns.column(name) for name in READ_EVENTS.names], schema=READ_EVENTS)
            )
        return rows

    def _tokens(self, table: pa.Table) -> pa.Table:
        paths = ", ".join(_json_path(path) for _, path in self._paths)
        wanted = ", ".join(
            f"tokens[{position + 1}] as token_{position}" for position in range(len(self._paths))
        )
        return self._query(
            f"""
            select tokens is not null as sure, {wanted}
            from (select try(json_extract(line, [{paths}])) as tokens from lines)
            """,  # noqa: S608 - paths of the mapping, quoted
            table,
        )

    def _canonical_columns(self, tokens: pa.Table) -> tuple[pa.Table, Flags]:
        """Read the columns of tokens; the rows that are not sure hold nothing of use."""

        def of(name: str) -> list[pa.StringArray]:
            columns = [
                tokens.column(f"token_{position}").combine_chunks()
                for position, (field, _) in enumerate(self._paths)
                if field == name
            ]
            return [column for column in columns if column.null_count < len(column)]

        rows = tokens.num_rows
        columns: dict[str, Any] = {}
        sure = np.asarray(tokens.column("sure").combine_chunks()).copy()
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
        positions = self._user_categories.read(of("user_id"), rows)
        sure &= positions != vectors.UNSURE
        columns["user_key"], columns["record_key"] = user_columns(
            positions, self._user_categories.values, self._pseudonyms
        )
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

    def _groups(self, block: Block, table: pa.Table) -> list["Group"]:
        """Group lines by the names in their objects; a group that may hide something has no names."""
        if not table.num_rows:
            return []
        groups = self._grouped(table, "null::bigint")
        if sum(group.objects * len(group.rows) for group in groups) == self._braces(block, table):
            return groups
        # Some line holds an object that nobody looked into (or a brace in a text).
        return self._grouped(table, "length(line) - length(replace(line, '{', ''))")

    def _grouped(self, table: pa.Table, braces: str) -> list["Group"]:
        paths = [_json_path(path) for path in self._containers]
        # What has no names is an object without any, or no object.
        kinds = ", ".join(
            f"case when len(names[{number}]) = 0 then json_type(line, {path}) end"
            for number, path in enumerate(paths, 1)
        )
        found = self._query(
            f"""
            select names, [{kinds}] as kinds, {braces} as braces, list(row) as rows
            from (select row, line, try(json_keys(line, [{", ".join(paths)}])) as names from lines)
            group by all
            """,  # noqa: S608 - paths, quoted
            table,
        )
        rows = found.column("rows")
        return [
            self._group(np.asarray(rows[position].values), **group)
            for position, group in enumerate(found.drop_columns("rows").to_pylist())
        ]

    def _group(
        self, rows: Rows, names: list[list[str] | None] | None, kinds: list[str | None], braces: int | None
    ) -> "Group":
        if names is None:
            return Group(rows, None, 0)
        objects = sum(bool(inside) or kind == "OBJECT" for inside, kind in zip(names, kinds, strict=True))
        is_repeated = any(len(set(inside)) < len(inside) for inside in names if inside)
        holds_text = any(
            kind == "VARCHAR" and path in self._heads
            for path, kind in zip(self._containers, kinds, strict=True)
        )
        is_clean = braces in {None, objects} and not is_repeated and not holds_text
        return Group(rows, names if is_clean else None, objects)

    def _braces(self, block: Block, table: pa.Table) -> int:
        if table.num_rows == len(block):
            return block.data.count(b"{", int(block.offsets[0]), int(block.offsets[-1]))
        return int(pc.sum(pc.count_substring(table.column("line"), "{")).as_py())

    def _unknown(self, listed: list[list[str] | None]) -> list[str]:
        """List the names outside the mapping, as `canonical.unknown_names` does."""
        return [
            ".".join((*path, name))
            for path, names in zip(self._containers, listed, strict=True)
            if path in self._mapping.known
            for name in names or ()
            if name not in self._mapping.known[path]
        ]

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
            outcome.events.append(event_table(events, numbers, self._pseudonyms))

    def _query(self, sql: str, lines: pa.Table) -> pa.Table:
        self._connection.register("lines", lines)
        try:
            return self._connection.sql(sql).to_arrow_table()
        finally:
            self._connection.unregister("lines")


@dataclass(frozen=True)
class Group:
    """Lines whose objects hold the same names."""

    rows: Rows
    names: list[list[str] | None] | None
    """Names in each container; None where the lines have to be read one by one."""
    objects: int


def _suspicious(data: npt.NDArray[np.uint8]) -> Numbers:
    """Find the commas and closing brackets that may end something that is no JSON."""
    found = []
    for start in range(0, len(data), SCAN_SIZE):
        piece = data[start : start + SCAN_SIZE]
        # One bit tells "]" from "}".
        closing = (piece | 0x20) == b"}"[0]
        positions = np.flatnonzero(closing | (piece == b","[0])) + start
        before = data[positions - 1]
        found.append(positions[SUSPICIOUS[before] | ((before == b","[0]) & (data[positions] != b","[0]))])
    return np.concatenate(found or [np.empty(0, np.int64)])


def _table(lines: pa.StringArray, rows: Rows) -> pa.Table:
    if len(rows) < len(lines):
        lines = lines.take(pa.array(rows))
    return pa.table({"row": np.arange(len(lines), dtype=np.int32), "line": lines})


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


def _text(token: str) -> str | None:
    """Read a token that stands for text; TypeError where only the line itself can tell."""
    if token.startswith('"'):
        return canonical_text(json.loads(token))
    if PLAIN_INTEGER.fullmatch(token):
        return token
    if token == JSON_NULL:
        return None
    raise TypeError("neither text nor a whole number")


def _flag(token: str) -> bool | None:
    return BOOLEANS[token] if token in BOOLEANS else canonical.flag(_text(token))


def _is_text(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _json_path(path: Path) -> str:
    """Write a path for DuckDB, as a string of SQL."""
    text = "$" + "".join(f'."{name}"' for name in path)
    return "'" + text.replace("'", "''") + "'"


def _object_paths(content: dict[str, Any], above: Path) -> Iterator[Path]:
    for name, value in content.items():
        if isinstance(value, dict) and '"' not in name and "\\" not in name:
            yield (*above, name)
            yield from _object_paths(value, (*above, name))
