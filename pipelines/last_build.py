"""Tells whether a build would find everything as the last one left it."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipelines.warehouse import PROJECT_ROOT, Warehouse

_PROJECT = ("dbt_project.yml", "profiles", "macros", "models", "seeds", "tests/data")
_PACKAGES = ("dbt-core", "dbt-duckdb", "duckdb")


class LastBuild:
    """The last build in which nothing failed: a fingerprint of what it was made from, beside the embedded warehouse."""

    def __init__(self, warehouse: Warehouse, arguments: Sequence[str], settings: Mapping[str, str]) -> None:
        self._warehouse = warehouse
        self._asked = [list(arguments), sorted(settings.items())]
        self._file = warehouse.state_folder / "last_build"

    def warnings(self) -> list[str] | None:
        """Give its warnings if nothing changed since: no byte of the warehouse, the project, the seeds, the settings."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            return list(kept["warnings"]) if kept["fingerprint"] == self._fingerprint() else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def remember(self, warnings: Sequence[str]) -> None:
        """Keep what this build was made from. Only an embedded warehouse tells whether anybody has written to it."""
        if self._warehouse.target == "duckdb":
            kept = {"fingerprint": self._fingerprint(), "warnings": list(warnings)}
            self._file.write_text(json.dumps(kept), encoding="utf-8")

    def forget(self) -> None:
        """Let the next build happen whatever it finds."""
        self._file.unlink(missing_ok=True)

    def _fingerprint(self) -> str:
        stored = self._warehouse.duckdb_path.stat()
        # What was committed by a process that then died stands here alone until somebody opens the warehouse to write.
        log = self._warehouse.duckdb_path.with_name(f"{self._warehouse.duckdb_path.name}.wal")
        environment = self._warehouse.dbt_environment()
        known = [
            self._asked,
            [stored.st_ino, stored.st_size, stored.st_mtime_ns],
            [log.stat().st_size, log.stat().st_mtime_ns] if log.exists() else None,
            [importlib.metadata.version(package) for package in _PACKAGES],
            sorted((name, value) for name, value in environment.items() if name.startswith(("KPI_", "DBT_"))),
            [(str(path), hashlib.sha256(path.read_bytes()).hexdigest()) for path in self._files()],
        ]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _files(self) -> Iterator[Path]:
        places = [PROJECT_ROOT / name for name in _PROJECT]
        if self._warehouse.seeds_path:
            places.append(Path(self._warehouse.seeds_path))
        for place in places:
            inside = [place] if place.is_file() else sorted(place.rglob("*"))
            yield from (path for path in inside if path.suffix in {".sql", ".yml", ".csv"})
