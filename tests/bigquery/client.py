"""The warehouse that Google's engine works for, behind the interface of BigQuery's client library.

Of the library's client it has what dbt-bigquery and dlt call, with the library's own objects; they themselves run unchanged.
"""

import contextlib
import csv
import datetime as dt
import gzip
import io
import json
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from google.api_core.exceptions import BadRequest, NotFound
from google.cloud import bigquery
from google.cloud.bigquery.dataset import DatasetListItem
from google.cloud.bigquery.table import TableListItem
from pyarrow import parquet

from bigquery import values
from bigquery.engine import Path3, RefusedError, Table
from bigquery.service import Answer, Service, Stored


@contextlib.contextmanager
def dbt_works_with(service: Service) -> Iterator[None]:
    """Let every client that dbt-bigquery makes be one of this warehouse."""
    with patch(
        "dbt.adapters.bigquery.connections.create_bigquery_client", lambda credentials: Client(service)
    ):
        yield


@contextlib.contextmanager
def everything_works_with(service: Service) -> Iterator[None]:
    """Let dlt's clients be of this warehouse too, and so those of every command of ours."""
    with (
        dbt_works_with(service),
        patch("google.cloud.bigquery.Client", lambda *arguments, **settings: Client(service)),
    ):
        yield


@dataclass
class Job:
    """A job that is done."""

    answer: Answer
    destination: bigquery.TableReference
    job_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    location: str = "EU"
    project: str = "reference"
    state: str = "DONE"
    errors: None = None
    error_result: None = None
    total_bytes_processed: int = 0
    total_bytes_billed: int = 0
    slot_millis: int = 0
    num_dml_affected_rows: int = 0

    @property
    def statement_type(self) -> str:
        return self.answer.kind

    @property
    def output_rows(self) -> int:
        return len(self.answer.table)

    def done(self, **options: Any) -> bool:
        return True

    def result(self, max_results: int | None = None, **options: Any) -> "Result":
        return Result(self.answer.table, max_results)


class Result:
    """The rows of a job, each of them by column."""

    state = "DONE"
    error_result = None
    num_dml_affected_rows = None

    def __init__(self, table: Table, limit: int | None) -> None:
        self.schema = _schema(table)
        self._rows = table.values()[:limit]
        self.total_rows = len(self._rows)

    def _should_use_bqstorage(self, client: Any, create_bqstorage_client: bool) -> bool:
        return False

    def __iter__(self) -> Iterator[bigquery.Row]:
        places = {each.name: number for number, each in enumerate(self.schema)}
        return iter(bigquery.Row(row, places) for row in self._rows)


class Client:
    """What dbt-bigquery and dlt ask of google.cloud.bigquery.Client."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._answers: dict[str, Table] = {}

    def query(self, query: str, job_config: Any = None, **options: Any) -> Job:
        given = job_config.query_parameters if job_config else []
        try:
            answer = self.service.execute(query, [(each.type_, each.value) for each in given])
        except RefusedError as error:
            if re.match("(Table|Dataset) not found", str(error)):
                raise NotFound(f"Not found: {error}", errors=[{"reason": "notFound"}]) from None  # type: ignore[no-untyped-call]
            raise BadRequest(str(error), errors=[{"message": str(error), "reason": "invalidQuery"}]) from None  # type: ignore[no-untyped-call]
        path = answer.changed or (self.service.project, "_answers", uuid.uuid4().hex)
        if answer.changed is None:
            self._answers[path[-1]] = answer.table
        return Job(answer, bigquery.TableReference.from_string(".".join(path)))

    def query_and_wait(self, query: str, job_config: Any = None, **options: Any) -> "Result":
        return self.query(query, job_config=job_config).result()

    def _ensure_bqstorage_client(self, client: Any = None) -> None:
        """There is none: rows come with the answer."""

    def get_table(self, reference: Any) -> bigquery.Table:
        path = _path(reference)
        if path[1] == "_answers":
            return _described(path, Stored(self._answers[path[2]]))
        if path not in self.service.stored:
            raise NotFound(f"Not found: Table {'.'.join(path)}")  # type: ignore[no-untyped-call]
        return _described(path, self.service.stored[path])

    def list_tables(self, dataset: bigquery.DatasetReference, **options: Any) -> Iterator[TableListItem]:
        """Name the tables of a dataset; like the library, find out when the first one is asked for."""
        if dataset.dataset_id not in self.service.datasets:
            raise NotFound(f"Not found: Dataset {dataset.dataset_id}")  # type: ignore[no-untyped-call]
        for path, stored in sorted(self.service.stored.items()):
            if path[1] == dataset.dataset_id:
                names = {"projectId": path[0], "datasetId": path[1], "tableId": path[2]}
                yield TableListItem(  # type: ignore[no-untyped-call]
                    {"tableReference": names, "type": "TABLE" if stored.view is None else "VIEW"}
                )

    def list_routines(self, dataset: bigquery.DatasetReference) -> list[Any]:
        return []

    def get_routine(self, reference: Any) -> Any:
        raise NotFound("Not found: Routine")  # type: ignore[no-untyped-call]

    def list_datasets(self, **options: Any) -> Iterable[DatasetListItem]:
        return [
            DatasetListItem({"datasetReference": {"projectId": self.service.project, "datasetId": name}})  # type: ignore[no-untyped-call]
            for name in sorted(self.service.datasets)
        ]

    def create_dataset(self, dataset: Any, **options: Any) -> bigquery.Dataset:
        self.service.datasets.add(dataset.dataset_id)
        return self.get_dataset(dataset)

    def get_dataset(self, reference: Any, **options: Any) -> bigquery.Dataset:
        name = reference.split(".")[-1] if isinstance(reference, str) else reference.dataset_id
        if name not in self.service.datasets:
            raise NotFound(f"Not found: Dataset {name}")  # type: ignore[no-untyped-call]
        dataset = bigquery.Dataset(bigquery.DatasetReference(self.service.project, name))
        dataset.location = "EU"
        return dataset

    def delete_dataset(self, name: str, delete_contents: bool = False, not_found_ok: bool = False) -> None:
        assert delete_contents or not any(path[1] == name for path in self.service.stored)
        self.service.datasets.discard(name)
        for path in [path for path in self.service.stored if path[1] == name]:
            del self.service.stored[path]

    def update_dataset(self, dataset: bigquery.Dataset, fields: list[str]) -> bigquery.Dataset:
        return dataset

    def delete_table(self, reference: Any, not_found_ok: bool = False) -> None:
        self.service.stored.pop(_path(reference), None)

    def update_table(self, table: bigquery.Table, fields: list[str]) -> bigquery.Table:
        stored = self.service.stored[_path(table.reference)]
        if "schema" in fields and [each.name for each in table.schema] != list(stored.table.columns):
            raise BadRequest("A schema is updated with other columns", errors=[{"message": "other columns"}])  # type: ignore[no-untyped-call]
        if "description" in fields:
            stored.description = table.description
        return table

    def load_table_from_file(
        self, file: io.BufferedReader, reference: Any, job_config: bigquery.LoadJobConfig, **options: Any
    ) -> Job:
        """Load a seed of dbt's in place of a table, or a file of dlt's into one."""
        if job_config.source_format in {"PARQUET", "NEWLINE_DELIMITED_JSON"}:
            return self._append(file.read(), reference, job_config.source_format)
        columns = {each.name: each.field_type for each in job_config.schema}
        types = [values.name_of(values.type_of(type_)) for type_ in columns.values()]
        lines = list(csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
        rows = [
            [_read(text, type_) for text, type_ in zip(line, types, strict=True)]
            for line in lines[1:]
            if line
        ]
        path = _path(reference)
        self.service.put(path, Stored(Table.of(columns, rows)))
        return Job(Answer("LOAD", Table({}), path), reference)

    def _append(self, content: bytes, name: str, form: str) -> Job:
        path = tuple(name.split("."))
        stored = self.service.stored[path]
        if form == "PARQUET":
            dicts = parquet.read_table(io.BytesIO(content)).to_pylist()
        else:
            text = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
            dicts = [json.loads(line) for line in text.splitlines() if line]
        types = stored.table.types
        unknown = {column for row in dicts for column in row} - types.keys()
        if unknown:
            raise BadRequest(f"No such field: {unknown}", errors=[{"reason": "invalid"}])  # type: ignore[no-untyped-call]
        rows = [[_plain(row.get(column), type_) for column, type_ in types.items()] for row in dicts]
        self.service.append(path, Table.of(types, rows))
        return Job(Answer("LOAD", Table.of(types, rows), path), bigquery.TableReference.from_string(name))

    def close(self) -> None:
        pass


def _path(reference: Any) -> Path3:
    if isinstance(reference, str):
        return tuple(reference.split("."))
    return (reference.project, reference.dataset_id, reference.table_id)


def _schema(table: Table) -> list[bigquery.SchemaField]:
    fields = []
    for name, type_ in table.types.items():
        item = type_.removeprefix("ARRAY<").removesuffix(">")
        fields.append(bigquery.SchemaField(name, item, "REPEATED" if item != type_ else "NULLABLE"))
    return fields


def _described(path: Path3, stored: Stored) -> bigquery.Table:
    table = bigquery.Table(".".join(path), schema=_schema(stored.table))
    table.description = stored.description
    table._properties["type"] = "TABLE" if stored.view is None else "VIEW"
    table._properties["numRows"] = str(len(stored.table))
    table._properties["numBytes"] = "0"
    if stored.partitioned_by:
        # Such as `report_date`, or date_trunc(report_date, month).
        field, *granularity = re.findall(r"\w+", stored.partitioned_by.removeprefix("date_trunc"))
        table.time_partitioning = bigquery.TimePartitioning(
            type_=granularity[0].upper() if granularity else "DAY", field=field
        )
    if stored.clustered_by:
        table.clustering_fields = list(stored.clustered_by)
    return table


def _read(text: str, type_: str) -> Any:
    if text == "":
        return None
    match type_:
        case "INT64":
            return int(text)
        case "FLOAT64":
            return float(text)
        case "BOOL":
            return {"true": True, "false": False}[text.lower()]
        case "DATE":
            return dt.date.fromisoformat(text)
        case "NUMERIC" | "BIGNUMERIC":
            return Decimal(text)
        case "STRING":
            return text
    raise NotImplementedError(type_)


def _plain(value: Any, type_: str) -> Any:
    """A value out of a file as Python has it; JSON has texts where BigQuery has more."""
    if not isinstance(value, str) or type_ == "STRING":
        return value
    if type_ == "TIMESTAMP":
        return dt.datetime.fromisoformat(value)
    return _read(value, type_)
