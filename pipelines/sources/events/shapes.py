"""The names that stand in the objects of many lines, looked at once for each different set of them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.sources.events.mapping import Mapping, Path
from pipelines.sources.events.vectors import Numbers, Positions

MOST_CONTAINERS = 16
MOST_SHAPES = 5_000

Query = Callable[[str, pa.Table], pa.Table]
"""Runs SQL over a table that it calls `lines`."""


@dataclass(frozen=True)
class Shape:
    """What lines with the same names in their objects have in common."""

    is_clean: bool
    """No name stands twice in an object, and no text stands where an object is expected."""
    objects: int
    """Objects that were looked into."""
    present: frozenset[Path]
    """Paths to all names that were seen."""
    unknown: tuple[str, ...]
    """Names outside the mapping, as `canonical.unknown_names` gives them."""


class Shapes:
    """Tells the shapes of lines, remembering those it has met."""

    def __init__(self, mapping: Mapping, query: Query) -> None:
        self._mapping = mapping
        self._query = query
        self._containers: list[Path] = list(mapping.known)
        self._known: dict[int, Shape] = {}

    def learn(self, content: dict[str, Any]) -> None:
        """Look into the objects of an event, so that their names are checked in all later lines."""
        for path in _object_paths(content, ()):
            if len(self._containers) < MOST_CONTAINERS and path not in self._containers:
                self._containers.append(path)
                self._known.clear()

    @property
    def knows_enough(self) -> bool:
        """Tell whether no further objects would be looked into."""
        return len(self._containers) >= MOST_CONTAINERS

    def of(self, lines: pa.Table) -> tuple[list[Shape], Positions]:
        """Give the shapes that some lines have, and for each line which of them."""
        hashes = self._query(f"select hash(names, kinds) as shape from ({self._names()})", lines)  # noqa: S608
        values, examples, positions = np.unique(
            np.asarray(hashes.column("shape").combine_chunks()), return_index=True, return_inverse=True
        )
        if len(self._known) > MOST_SHAPES:
            self._known.clear()
        new = [
            (value, row)
            for value, row in zip(values.tolist(), examples.tolist(), strict=True)
            if value not in self._known
        ]
        if new:
            rows = lines.take(pa.array([row for _, row in new]))
            details = self._query(f"select names, kinds from ({self._names()})", rows).to_pylist()  # noqa: S608
            for (value, _), detail in zip(new, details, strict=True):
                self._known[value] = self._shape(**detail)
        return [self._known[value] for value in values.tolist()], positions.astype(np.int32)

    def _names(self) -> str:
        paths = [json_path(path) for path in self._containers]
        # What has no names is an object without any, or no object.
        kinds = (
            f"case when len(names[{number}]) = 0 then json_type(line, {path}) end"
            for number, path in enumerate(paths, 1)
        )
        return f"""
            select names, [{", ".join(kinds)}] as kinds
            from (select line, try(json_keys(line, [{", ".join(paths)}])) as names from lines)
            """  # noqa: S608 - paths, quoted

    def _shape(self, names: list[list[str] | None] | None, kinds: list[str | None]) -> Shape:
        if names is None:
            return Shape(False, 0, frozenset(), ())
        known = self._mapping.known
        found = list(zip(self._containers, names, kinds, strict=True))
        is_repeated = any(len(set(inside)) < len(inside) for inside in names if inside)
        holds_text = any(kind == "VARCHAR" and path in known and path for path, _, kind in found)
        unknown = (
            ".".join((*path, name))
            for path, inside, _ in found
            for name in inside or ()
            if path in known and name not in known[path]
        )
        return Shape(
            not is_repeated and not holds_text,
            sum(bool(inside) or kind == "OBJECT" for _, inside, kind in found),
            frozenset((*path, name) for path, inside, _ in found for name in inside or ()),
            tuple(unknown),
        )


def json_path(path: Path) -> str:
    """Write a path for DuckDB, as a string of SQL."""
    text = "$" + "".join(f'."{name}"' for name in path)
    return "'" + text.replace("'", "''") + "'"


def braces_expected(shapes: Sequence[Shape], positions: Positions) -> Numbers:
    """Tell for each line how many objects were looked into."""
    return np.array([shape.objects for shape in shapes], np.int64)[positions]


def _object_paths(content: dict[str, Any], above: Path) -> Iterator[Path]:
    for name, value in content.items():
        if isinstance(value, dict) and '"' not in name and "\\" not in name:
            yield (*above, name)
            yield from _object_paths(value, (*above, name))
