"""What loading has in common for every source: pending packages first, one report, readable errors."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dlt
from dlt.common.pipeline import LoadInfo
from dlt.destinations.exceptions import DatabaseUndefinedRelation, DestinationConnectionError
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.errors import KpiError, causes, readable
from pipelines.warehouse import Warehouse, busy, is_full

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
    try:
        return _checked(pipeline.run(data))
    except PipelineStepFailed as error:
        raise explained(warehouse, pipeline, error) from error


def finish_pending(warehouse: Warehouse, pipeline: dlt.Pipeline) -> None:
    """Load what a killed run had extracted completely, so that the warehouse tells what is in it.

    Raises KpiError as `run_pipeline` does.
    """
    warehouse.check_writable()
    try:
        while pipeline.has_pending_data:
            _checked(pipeline.run())
    except PipelineStepFailed as error:
        raise explained(warehouse, pipeline, error) from error


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
        "the next run goes on where this one stopped.",
    )


def query(warehouse: Warehouse, sql: str, *parameters: Any) -> list[dict[str, Any]]:
    """Run a query on either warehouse: one dict per row; no rows where a table is not there yet."""
    if warehouse.target == "duckdb" and not warehouse.duckdb_path.exists():
        return []
    pipeline = warehouse.pipeline("queries")
    try:
        with pipeline.sql_client() as client, client.execute_query(sql, *parameters) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    except DatabaseUndefinedRelation:
        return []
    except DestinationConnectionError as error:
        if warehouse.target != "duckdb":
            raise
        raise busy(warehouse.duckdb_path, error) from error
