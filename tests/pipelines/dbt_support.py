"""dbt inside the test's own process: the project is read once, not for each build."""

from typing import Any

from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from pipelines.warehouse import PROJECT_ROOT, Warehouse, environment

_MANIFESTS: dict[str, Any] = {}
"""dbt's reading of the project; of the warehouse it depends on the file's name alone, which is DuckDB's catalog."""


def invoke(warehouse: Warehouse, arguments: list[str]) -> list[str]:
    """Run one dbt command that must succeed; gives the unique ids of the nodes that it ran."""
    state = str(warehouse.state_folder / "dbt")
    places = ["--project-dir", str(PROJECT_ROOT), "--target-path", state, "--log-path", state]
    with environment(**warehouse.dbt_environment()):
        catalog = warehouse.duckdb_path.stem
        if catalog not in _MANIFESTS:
            parse = ["--quiet", "parse", "--no-partial-parse", *places]
            _MANIFESTS[catalog] = dbtRunner().invoke(parse).result
        result: Any = dbtRunner(manifest=_MANIFESTS[catalog]).invoke(["--quiet", *arguments, *places])
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    assert result.success, result.exception or [
        (each.node.name, each.message)
        for each in result.result
        if each.status not in {"success", "pass", "warn"}
    ]
    return [each.node.unique_id for each in result.result]
