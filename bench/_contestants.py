"""One measured load in a process of its own: `python -m bench._contestants NAME EVENTS_FILE`, one line of JSON out."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dlt
import duckdb

import pipelines.sources.events
from pipelines.warehouse import Warehouse, environment


def duckdb_alone(events: Path, folder: Path) -> None:
    """DuckDB's own load of the file into a table of a database file."""
    connection = duckdb.connect(str(folder / "alone.duckdb"))
    connection.execute(f"create table events as select * from read_json('{events}')")
    connection.close()


def ours(events: Path, folder: Path) -> None:
    """The project's events source, as a user runs it."""
    warehouse = Warehouse("duckdb", folder / "warehouse.duckdb", "", "UTC")
    with environment(SOURCES__EVENTS__PATH=str(events), SOURCES__EVENTS__PRESET="native"):
        report = pipelines.sources.events.load(warehouse, lambda line: None)
    assert not report.failures, report.failures
    assert report.rows["quarantine"] == 0, report.rows


def rows_as_dicts(events: Path, folder: Path) -> None:
    """The plain way with dlt: one dict for each line."""
    pipeline = dlt.pipeline(
        "dicts",
        destination=dlt.destinations.duckdb(str(folder / "dicts.duckdb")),
        dataset_name="raw",
        pipelines_dir=str(folder / "pipelines"),
    )
    with events.open(encoding="utf-8") as lines:
        pipeline.run((json.loads(line) for line in lines), table_name="events").raise_on_failed_jobs()


CONTESTANTS: dict[str, Callable[[Path, Path], None]] = {
    "duckdb": duckdb_alone,
    "ours": ours,
    "dicts": rows_as_dicts,
}


def main() -> None:
    """Run one contestant and print its seconds and the most memory that it held."""
    name, events = sys.argv[1], Path(sys.argv[2])
    with tempfile.TemporaryDirectory(dir=events.parent) as folder:
        start, processor = time.perf_counter(), time.process_time()
        CONTESTANTS[name](events, Path(folder))
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "processor_seconds": processor, "megabytes": megabytes}))


if __name__ == "__main__":
    main()
