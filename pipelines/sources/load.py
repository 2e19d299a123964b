"""What loading has in common for every source: pending packages first, one report, readable errors."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.pipeline import LoadInfo
from dlt.common.schema.typing import C_DLT_LOAD_ID, LOADS_TABLE_NAME
from dlt.common.storages import PackageStorage
from dlt.destinations.exceptions import DatabaseUndefinedRelation
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.errors import KpiError, causes, readable
from pipelines.warehouse import Warehouse, busy, is_full, start_over

Progress = Callable[[str], None]
"""Called with one line of text whenever there is something to show."""


@dataclass
class LoadReport:
    """What one run of one source did."""

    source: str
    rows: dict[str, int] = field(default_factory=dict)
    """Rows written in this run, for each raw table."""
    notes: list[str] = field(default_factory=list)
    """What people should see though nothing failed, such as quarantined lines by reason."""
    failures: list[str] = field(default_factory=list)
    """What failed without stopping the rest; any makes the command end with exit code 1."""


Loader = Callable[[Warehouse, Progress], LoadReport]


def run_pipeline(warehouse: Warehouse, pipeline: dlt.Pipeline, data: Any) -> LoadInfo | None:
    """Finish what a killed run left behind, then extract, normalise and load `data`.

    Raises KpiError with what happened and the remedy, whatever step of dlt failed.
    """
    finish_pending(warehouse, pipeline)
    settled = _settled_file(pipeline)
    settled.unlink(missing_ok=True)
    try:
        info = _checked(pipeline.run(data))
    except PipelineStepFailed as error:
        raise explained(warehouse, pipeline, error) from error
    settled.touch()
    return info


def finish_pending(warehouse: Warehouse, pipeline: dlt.Pipeline) -> None:
    """Load what a killed run had extracted completely, so that the warehouse tells what is in it.

    What a load left there that will never be completed, or wrote twice, is taken out. Raises KpiError as
    `run_pipeline` does.
    """
    warehouse.check_writable()
    _put_away(pipeline)
    try:
        while pipeline.has_pending_data:
            _checked(pipeline.run())
        settled = _settled_file(pipeline)
        if not settled.exists():
            _drop_abandoned(pipeline)
            # Brings the schema back where the working folder was lost.
            pipeline.sync_destination()
            _settle(warehouse, pipeline)
            settled.touch()
    except (PipelineStepFailed, ValueError) as error:
        # Not every damaged file is met with inside a step.
        raise explained(warehouse, pipeline, error) from error


def _put_away(pipeline: dlt.Pipeline) -> None:
    """Move completed packages to where dlt keeps them: it refuses those that were marked and not moved any more."""
    load = Path(pipeline.working_dir) / "load"
    for mark in load.glob(f"normalized/*/{PackageStorage.PACKAGE_COMPLETED_FILE_NAME}"):
        (load / "loaded").mkdir(exist_ok=True)
        mark.parent.rename(load / "loaded" / mark.parent.name)


def _settled_file(pipeline: dlt.Pipeline) -> Path:
    """Name the file that is there while no load has been begun and not ended."""
    return Path(pipeline.working_dir) / "settled"


def _drop_abandoned(pipeline: dlt.Pipeline) -> None:
    """Remove what killed runs had not extracted completely: dlt never comes back to it."""
    for folder in (Path(pipeline.working_dir) / "normalize").glob("*/"):
        if folder.name != "extracted":
            shutil.rmtree(folder, ignore_errors=True)


def _settle(warehouse: Warehouse, pipeline: dlt.Pipeline) -> None:
    """Make the tables that grow hold each row of each completed load once, and no others.

    A killed load goes on with the file it was at, though that may be in already; one that failed for good, or whose
    working folder is lost, is not gone on with at all. Tables that are merged into by primary key mend themselves; in
    those whose rows are replaced by owner, a file taken twice stands twice. BigQuery knows by their names the files
    that it has taken.
    """
    if warehouse.target != "duckdb" or pipeline.default_schema_name is None:
        return
    with duckdb.connect(str(warehouse.duckdb_path)) as connection:
        there = connection.execute(
            "select table_name from information_schema.tables where table_schema = ?", [pipeline.dataset_name]
        ).fetchall()
        names = {name for (name,) in there}
        for table in pipeline.default_schema.data_tables(seen_data_only=True):
            grows = table.get("write_disposition") == "append"
            has_key = any(column.get("primary_key") for column in table["columns"].values())
            if (
                has_key
                or C_DLT_LOAD_ID not in table["columns"]
                or not {table["name"], LOADS_TABLE_NAME} <= names
            ):
                continue
            for statement in ("begin", *(_SETTLE_ABANDONED if grows else ()), *_SETTLE_REPEATED, "commit"):
                connection.execute(statement.format(schema=pipeline.dataset_name, table=table["name"]))


_SETTLE_ABANDONED = (
    "delete from {schema}.{table} where _dlt_load_id not in (select load_id from {schema}._dlt_loads)",
)
# Only the newest load can have been gone on with.
_SETTLE_REPEATED = (
    "create or replace temp table newest as select distinct * from {schema}.{table} "
    "where _dlt_load_id = (select load_id from {schema}._dlt_loads order by rowid desc limit 1)",
    "delete from {schema}.{table} where _dlt_load_id in (select _dlt_load_id from newest)",
    "insert into {schema}.{table} select * from newest",
)


def _checked(info: LoadInfo | None) -> LoadInfo | None:
    if info is not None:
        info.raise_on_failed_jobs()
    return info


def explained(warehouse: Warehouse, pipeline: dlt.Pipeline, error: Exception) -> KpiError:
    """Turn a failure inside dlt into one message with a remedy, without data or secrets in it.

    Raises KeyboardInterrupt where somebody stopped it: dlt wraps that as a failure too.
    """
    known = readable(error)
    if known is not None:
        return known
    chain = list(causes(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in chain):
        raise KeyboardInterrupt from None
    text = " ".join(str(cause) for cause in chain)
    source = pipeline.pipeline_name.removeprefix("kpi_")
    if is_full(text):
        return KpiError(
            f"The disk is full while loading {source}.",
            "Make room and start again: nothing loaded before is lost.",
        )
    if any(type(cause).__name__ == "DataValidationError" for cause in chain):
        return KpiError(
            f"A field of {source} changed its type, so that nothing more of {source} was loaded.",
            "Correct the type where the data are made, or the mapping in .dlt/config.toml, and start again.",
        )
    if "Could not set lock on file" in text:
        return busy(warehouse.duckdb_path, error)
    return KpiError(
        f"Loading {source} failed in step '{getattr(error, 'step', 'run')}' ({type(chain[-1]).__name__}).",
        f"See the log with: RUNTIME__LOG_LEVEL=INFO kpi ingest {source}. Nothing loaded before is lost; "
        "the next run goes on where this one stopped. If it stops there too, what is on its way is damaged: "
        f"{start_over(pipeline.working_dir)}",
    )


def query(warehouse: Warehouse, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Run a query on either warehouse: one dict per row; no rows where a table is not there yet.

    Raises KpiError where the warehouse cannot be asked.
    """
    if warehouse.target == "duckdb":
        # dlt's own client takes half a second to find its settings.
        if not warehouse.duckdb_path.exists():
            return []
        with warehouse.reader() as connection:
            try:
                return _dicts(connection.execute(sql.replace("%s", "?"), list(parameters)))
            except duckdb.CatalogException:
                return []
    from pipelines.bigquery import readable_errors

    pipeline = warehouse.pipeline("queries")
    try:
        with (
            readable_errors(),
            pipeline.sql_client() as client,
            client.execute_query(sql, *parameters) as cursor,
        ):
            return _dicts(cursor)
    except DatabaseUndefinedRelation:
        return []


@contextmanager
def held_for_queries(warehouse: Warehouse) -> Iterator[None]:
    """Keep the DuckDB file open for several queries, each of which would take most of its time to open it."""
    if warehouse.target == "duckdb" and warehouse.duckdb_path.exists():
        with warehouse.reader():
            yield
    else:
        yield


def _dicts(cursor: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
