"""dbt's reading of the project, which takes longer than most builds: made once for all tests, not for each warehouse."""

import gc
import hashlib
import json
import pprint
from pathlib import Path
from typing import Any

from sharing import made_once

from pipelines.warehouse import PROJECT_ROOT, Warehouse, environment

READING = "partial_parse.msgpack"
_CONNECTION = "connection.json"
_PLACE = "the warehouse"
_MANIFESTS: dict[str, Any] = {}
"""What this process has read; of the warehouse it depends on the file's name alone, which is DuckDB's catalog."""


def invoke(warehouse: Warehouse, arguments: list[str]) -> list[str]:
    """Run one dbt command in this process, which must succeed; gives the unique ids of the nodes that it ran."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    catalog, state = warehouse.duckdb_path.stem, warehouse.state_folder / "dbt"
    # Nobody reads its log, and of its artifacts only what the first command writes.
    quiet = ["--quiet", "--log-level-file", "none", *(["--no-write-json"] if _is_used(state) else [])]
    with environment(**warehouse.dbt_environment()):
        if catalog not in _MANIFESTS:
            lend_reading(warehouse.duckdb_path, state)
            _MANIFESTS[catalog] = dbtRunner().invoke([*quiet, "parse", *_places(state)]).result
        gc.disable()
        try:
            runner = dbtRunner(manifest=_MANIFESTS[catalog])
            result: Any = runner.invoke([*quiet, *arguments, *_places(state)])
        finally:
            gc.enable()
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    assert result.success, result.exception or [
        (each.node.name, each.message)
        for each in result.result
        if each.status not in {"success", "pass", "warn"}
    ]
    return [each.node.unique_id for each in result.result]


def lend_reading(file: Path, state: Path) -> None:
    """Lay what dbt has read of the project where it looks for it, as if it had been read for this warehouse.

    dbt itself finds out what is different here: it reads anew what depends on that, and where it cannot tell, everything.
    """
    if (state / READING).exists():
        return
    shared = made_once(f"reading of {file.stem}", lambda folder: _read(folder, file.stem))
    described = json.loads((shared / _CONNECTION).read_text(encoding="utf-8").replace(_PLACE, str(file)))
    checksum = _checksum(described["connection"])
    state.mkdir(parents=True, exist_ok=True)
    reading = (shared / READING).read_bytes().replace(described["checksum"].encode(), checksum.encode())
    (state / READING).write_bytes(reading)


def _read(folder: Path, catalog: str) -> None:
    from dbt.adapters.factory import get_adapter_by_type
    from dbt.cli.main import dbtRunner

    warehouse = Warehouse("duckdb", folder / f"{catalog}.duckdb", "", "UTC")
    with environment(**warehouse.dbt_environment()):
        result = dbtRunner().invoke(["--quiet", "parse", "--no-partial-parse", *_places(folder)])
        assert result.success, result.exception
        adapter: Any = get_adapter_by_type("duckdb")  # type: ignore[no-untyped-call]
        connection = list(adapter.config.credentials.connection_info())
    checksum = _checksum(connection)
    assert checksum.encode() in (folder / READING).read_bytes()
    text = json.dumps({"connection": connection, "checksum": checksum}).replace(
        str(warehouse.duckdb_path), _PLACE
    )
    (folder / _CONNECTION).write_text(text, encoding="utf-8")


def _checksum(connection: list[Any]) -> str:
    """By what dbt tells that it read the project for another warehouse."""
    text = pprint.pformat(sorted((key, value) for key, value in connection))
    return hashlib.sha256(text.encode()).hexdigest()


def _is_used(state: Path) -> bool:
    return (state / "manifest.json").exists()


def _places(state: Path) -> list[str]:
    # The target is told as `kpi` tells it, since that is a part of what dbt compares.
    return [
        *("--project-dir", str(PROJECT_ROOT), "--target", "duckdb"),
        *("--target-path", str(state), "--log-path", str(state)),
    ]
