"""dbt with DuckDB's profiler on: `python -m bench._profiled_dbt RESULT_FILE DBT_ARGUMENTS…` tells what was scanned."""

import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbt.adapters.duckdb.environments.local import DuckDBCursorWrapper
from dbt.cli.main import dbtRunner

Scan = dict[str, Any]
"""statement (its beginning), seconds (of the whole statement), table, rows (scanned), row_groups (scanned) and
all_row_groups of one scan of a table."""


def main() -> None:
    """Run dbt and write every scan of a table that its statements made, as JSON."""
    result, arguments = Path(sys.argv[1]), sys.argv[2:]
    wrapper: Any = DuckDBCursorWrapper
    plain, numbers = wrapper.execute, itertools.count()
    with tempfile.TemporaryDirectory() as folder:

        def execute(self: Any, sql: str, bindings: Any = None) -> Any:
            if bindings is not None:
                return plain(self, sql, bindings)
            # A profile is written once the last row of a statement has been fetched.
            for statement in self._cursor.extract_statements(sql):
                self._cursor.execute("pragma enable_profiling = 'json'")
                self._cursor.execute(f"set profiling_output = '{folder}/{next(numbers)}.json'")
                self._cursor.execute(statement)
            return self

        wrapper.execute = execute
        done = dbtRunner().invoke(arguments)
        profiles = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
    result.write_text(json.dumps([scan for profile in profiles for scan in scans(profile)]))
    sys.exit(0 if done.success else 1)


def scans(profile: dict[str, Any]) -> Iterator[Scan]:
    """List the table scans of one profile."""
    waiting = list(profile.get("operator", []))
    while waiting:
        operator = waiting.pop()
        waiting.extend(operator.get("children", []))
        if operator["type"] == "TABLE_SCAN" and "Table" in operator["extra_info"]:
            yield {
                "statement": " ".join(profile["query"]["sql"].split())[:300],
                "seconds": profile["query"]["total_time"],
                "table": operator["extra_info"]["Table"].split(".", 1)[-1],
                "rows": operator["rows_scanned"],
                "row_groups": operator["row_groups_scanned"],
                "all_row_groups": operator["total_row_groups_to_scan"],
            }


if __name__ == "__main__":
    main()
