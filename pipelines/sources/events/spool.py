"""Rows on their way into dlt's load package: Parquet files that hold whole event files, or nothing of them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_A_GROUP = 122_880
"""Rows written at once: the size of one of DuckDB's own row groups."""
SMALL_FILE_ROWS = 2 * ROWS_A_GROUP
"""Rows of one event file that are held in memory; a larger one gets Parquet files of its own."""
LARGEST_PART_ROWS = 9 * ROWS_A_GROUP
"""Rows of one Parquet file. The warehouse loads each by itself, so that the memory it takes does not grow."""


class Spool:
    """Collects the rows of one raw table. `commit` keeps what came since the last one, `roll_back` forgets it."""

    def __init__(self, folder: Path, table: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._table = table
        self._schema = schema
        self._numbers = itertools.count()
        self._shared = [_Part(self._next_path(), schema)]
        self._own: list[_Part] = []
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._finished: list[tuple[Path, int]] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows of the event file that is being read."""
        self._held.append(rows)
        self._held_rows += rows.num_rows
        if not self._own and self._held_rows > SMALL_FILE_ROWS:
            self._own = [_Part(self._next_path(), self._schema)]
        if self._own:
            self._move_held(self._own)

    def commit(self) -> None:
        """Keep the rows of the event file that has been read to its end."""
        self._move_held(self._own or self._shared)
        self._finished.extend(part.close() for part in self._own)
        self._own = []

    def roll_back(self) -> None:
        """Forget the rows of an event file that turned out to be broken."""
        self._held, self._held_rows = [], 0
        for part in self._own:
            part.close()[0].unlink()
        self._own = []

    def parts(self) -> Iterator[tuple[Path, int]]:
        """Close everything and give the Parquet files with their numbers of rows: at least one, even if empty."""
        self._finished.extend(part.close() for part in self._shared)
        self._shared = []
        whole = [part for part in self._finished if part[1]]
        yield from whole or self._finished[:1]

    def _move_held(self, parts: list["_Part"]) -> None:
        for rows in self._held:
            if parts[-1].rows + rows.num_rows > LARGEST_PART_ROWS:
                # A full part ends with a whole group.
                room = LARGEST_PART_ROWS - parts[-1].rows
                parts[-1].add(rows.slice(0, room))
                rows = rows.slice(room)
                parts[-1].finish()
                parts.append(_Part(self._next_path(), self._schema))
            parts[-1].add(rows)
        self._held, self._held_rows = [], 0

    def _next_path(self) -> Path:
        return self._folder / f"{self._table}_{next(self._numbers)}.parquet"


class _Part:
    """One Parquet file, in groups of exactly the size of DuckDB's own, which it then stores as they come."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="snappy",
            use_dictionary=coded,
            write_statistics=False,
            store_schema=False,
        )
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self.rows = 0

    def add(self, rows: pa.Table) -> None:
        self.rows += rows.num_rows
        while self._waiting_rows + rows.num_rows >= ROWS_A_GROUP:
            room = ROWS_A_GROUP - self._waiting_rows
            self._waiting.append(rows.slice(0, room))
            self._write()
            rows = rows.slice(room)
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows

    def finish(self) -> None:
        self._write()
        self._writer.close()

    def close(self) -> tuple[Path, int]:
        self.finish()
        return self._path, self.rows

    def _write(self) -> None:
        if self._waiting:
            self._writer.write_table(
                pa.concat_tables(self._waiting).unify_dictionaries(), row_group_size=ROWS_A_GROUP
            )
        self._waiting, self._waiting_rows = [], 0
