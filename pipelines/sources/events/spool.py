"""Rows on their way into dlt's load package: Parquet files that hold whole event files, or nothing of them."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_A_GROUP = 122_880
"""Rows written at once: the size of one of DuckDB's own row groups."""
SMALL_FILE_ROWS = 4 * ROWS_A_GROUP
"""Rows of one event file that are held in memory; a larger one gets Parquet files of its own."""


class Spool:
    """Collects the rows of one raw table. `commit` keeps what came since the last one, `roll_back` forgets it."""

    def __init__(self, folder: Path, table: str, schema: pa.Schema) -> None:
        self._folder = folder
        self._table = table
        self._schema = schema
        self._numbers = itertools.count()
        self._shared = _Part(self._next_path(), schema)
        self._own: _Part | None = None
        self._held: list[pa.Table] = []
        self._held_rows = 0
        self._finished: list[tuple[Path, int]] = []

    def add(self, rows: pa.Table) -> None:
        """Take rows of the event file that is being read."""
        self._held.append(rows)
        self._held_rows += rows.num_rows
        if self._own is None and self._held_rows > SMALL_FILE_ROWS:
            self._own = _Part(self._next_path(), self._schema)
        if self._own is not None and self._held_rows >= ROWS_A_GROUP:
            self._move_held(self._own)

    def commit(self) -> None:
        """Keep the rows of the event file that has been read to its end."""
        if self._own is None:
            self._move_held(self._shared)
            return
        self._move_held(self._own)
        self._finished.append(self._own.close())
        self._own = None

    def roll_back(self) -> None:
        """Forget the rows of an event file that turned out to be broken."""
        self._held, self._held_rows = [], 0
        if self._own is not None:
            path, _ = self._own.close()
            path.unlink()
            self._own = None

    def parts(self) -> Iterator[tuple[Path, int]]:
        """Close everything and give the Parquet files with their numbers of rows: at least one, even if empty."""
        self._finished.append(self._shared.close())
        whole = [part for part in self._finished if part[1]]
        yield from whole or self._finished[-1:]

    def _move_held(self, part: "_Part") -> None:
        for rows in self._held:
            part.add(rows)
        self._held, self._held_rows = [], 0

    def _next_path(self) -> Path:
        return self._folder / f"{self._table}_{next(self._numbers)}.parquet"


class _Part:
    """One Parquet file, written in large groups of rows."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._path = path
        self._schema = schema
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
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        self._rows += rows.num_rows
        if self._waiting_rows >= ROWS_A_GROUP:
            self._flush()

    def close(self) -> tuple[Path, int]:
        self._flush()
        self._writer.close()
        return self._path, self._rows

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(
                pa.concat_tables(self._waiting).unify_dictionaries(), row_group_size=ROWS_A_GROUP
            )
        self._waiting, self._waiting_rows = [], 0
