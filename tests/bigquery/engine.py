"""Google's own SQL engine, compiled to WebAssembly: it says whether GoogleSQL is valid, and runs it.

It shares nothing with DuckDB. Analysis is what BigQuery itself begins with; queries are run by the reference
implementation, which BigQuery's answers are held against: slow, plain, and meant to be right.
"""

import ctypes
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import wasmtime
from zetasql.core import wasm_client
from zetasql.core.exceptions import ServerError
from zetasql.wasi import get_wasm_path
from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as service
from zetasql.wasi._pb2.zetasql.proto import simple_catalog_pb2
from zetasql.wasi._pb2.zetasql.public import options_pb2 as public

from bigquery import language, values
from pipelines.warehouse import PROJECT_ROOT

CACHE = PROJECT_ROOT / ".pytest_cache" / "wasmtime"
"""Where the engine lies once it is compiled: half a minute at the first use, a second afterwards."""

Path3 = tuple[str, ...]
"""Project, dataset and name of a table, or a name alone."""

Rows: TypeAlias = Any
"""The rows of a table as the engine keeps them (TableContent)."""


Tables: TypeAlias = Mapping[Any, "Table"]
"""Tables by their path."""


class RefusedError(Exception):
    """What the engine says of SQL that it does not take."""


@dataclass
class Table:
    """Columns by name, in order, and rows as the engine keeps them."""

    columns: dict[str, values.Type]
    rows: Rows = field(default_factory=service.TableContent)

    @classmethod
    def of(cls, columns: Mapping[str, str], rows: Iterable[Iterable[Any]] = ()) -> "Table":
        """Make a table of types by name and values of Python."""
        types = {name: values.type_of(type_) for name, type_ in columns.items()}
        table = cls(types)
        for row in rows:
            cells = [values.encoded(value, type_) for value, type_ in zip(row, types.values(), strict=True)]
            table.rows.table_data.row.add().cell.extend(cells)
        return table

    @property
    def types(self) -> dict[str, str]:
        """The types by their names."""
        return {name: values.name_of(type_) for name, type_ in self.columns.items()}

    def values(self) -> list[tuple[Any, ...]]:
        """The rows as values of Python."""
        return [tuple(values.decoded(cell) for cell in row.cell) for row in self.rows.table_data.row]

    def __len__(self) -> int:
        return len(self.rows.table_data.row)


@dataclass(frozen=True)
class Statement:
    """One statement of a script."""

    kind: str
    """Such as `query_statement` or `merge_statement`."""
    node: Any
    """What the parser made of it."""
    script: bytes

    def text_of(self, node: Any) -> str:
        """The text behind a node of this statement."""
        place = inherited(concrete(node)[1], "parse_location_range").parse_location_range
        return self.script[place.start : place.end].decode()

    @property
    def text(self) -> str:
        return self.text_of(self.node)


def inherited(node: Any, name: str) -> Any:
    """The part of a node that has a field; each kind of node holds the more general one as its parent."""
    while name not in node.DESCRIPTOR.fields_by_name:
        node = node.parent
    return node


def concrete(node: Any) -> tuple[str, Any]:
    """Name and content of the innermost choice of a node that is one of several kinds."""
    kind = ""
    while "node" in node.DESCRIPTOR.oneofs_by_name:
        kind = node.WhichOneof("node")
        node = getattr(node, kind)
    return kind, node


class Engine:
    """The engine in this process; `refused` SQL raises RefusedError, whose text names line and column."""

    def __init__(self) -> None:
        self._client = _client()
        self._language = language.bigquery()

    def statements(self, script: str) -> list[Statement]:
        """Take a script apart."""
        request = service.ParseRequest(sql_statement=script, allow_script=True)
        request.options.CopyFrom(self._language)
        parsed = self._call("Parse", request, service.ParseResponse).parsed_script
        text, found = script.encode(), []
        for each in inherited(parsed, "statement_list_node").statement_list_node.statement_list:
            kind, node = concrete(each)
            found.append(Statement(kind.removeprefix("ast_").removesuffix("_node"), node, text))
        return found

    def analyse(
        self,
        statement: str,
        tables: Tables,
        variables: Mapping[str, values.Type] | None = None,
        parameters: Sequence[values.Type] = (),
    ) -> dict[str, values.Type] | None:
        """Check one statement; gives the columns that it yields, None where it is no query."""
        request = service.AnalyzeRequest(sql_statement=statement)
        self._options(request.options)
        if parameters:
            request.options.parameter_mode = public.PARAMETER_POSITIONAL
            request.options.positional_query_parameters.extend(parameters)
        _fill(request.simple_catalog, self._language, tables, variables or {})
        _, node = concrete(self._call("Analyze", request, service.AnalyzeResponse).resolved_statement)
        for part in ("output_column_list", "column_definition_list"):
            try:
                columns = getattr(inherited(node, part), part)
            except AttributeError:
                continue
            return {
                each.name: each.column.type if part.startswith("output") else each.type for each in columns
            }
        return None

    def query(self, query: str, tables: Tables) -> Table:
        """Run one query; tables are called by their full name in one pair of backticks."""
        request = service.EvaluateQueryRequest(sql=query)
        self._options(request.options)
        named = {(".".join(path),): table for path, table in tables.items()}
        _fill(request.simple_catalog, self._language, named, {})
        for (name,), table in named.items():
            request.table_content[name].CopyFrom(table.rows)
            # An empty table is one whose rows were given, too.
            request.table_content[name].table_data.SetInParent()
        response = self._call("EvaluateQuery", request, service.EvaluateQueryResponse)
        # Columns without a name, or with that of another one, are called by their place.
        columns: dict[str, values.Type] = {}
        for place, each in enumerate(response.prepared.columns):
            free = bool(each.name) and each.name not in columns
            columns[each.name if free else f"column_{place}"] = each.type
        return Table(columns, response.content)

    def tables_in(self, statement: str) -> set[Path3]:
        """Name the tables that a statement reads or writes."""
        request = service.ExtractTableNamesFromStatementRequest(sql_statement=statement)
        request.options.CopyFrom(self._language)
        response = self._call(
            "ExtractTableNamesFromStatement", request, service.ExtractTableNamesFromStatementResponse
        )
        return {tuple(name.table_name_segment) for name in response.table_name}

    def _options(self, options: Any) -> None:
        options.language_options.CopyFrom(self._language)
        options.error_message_mode = public.ERROR_MESSAGE_ONE_LINE
        options.default_timezone = "UTC"
        options.prune_unused_columns = False

    def _call(self, name: str, request: Any, response: Any) -> Any:
        try:
            return self._client.call_grpc_func(f"ZetaSqlLocalService_{name}", request, response)
        except ServerError as error:
            raise RefusedError(re.sub(r"^\[\w+\]\s*", "", str(error))) from None


def _fill(
    catalog: simple_catalog_pb2.SimpleCatalogProto,
    options: Any,
    tables: Tables,
    variables: Mapping[str, values.Type],
) -> None:
    """Tell the engine which functions, tables and variables there are."""
    catalog.name = "bigquery"
    catalog.builtin_function_options.language_options.CopyFrom(options)
    folders: dict[Path3, Any] = {(): catalog}
    for path, table in tables.items():
        for depth in range(1, len(path)):
            if path[:depth] not in folders:
                folders[path[:depth]] = folders[path[: depth - 1]].catalog.add(name=path[depth - 1])
        entry = folders[path[:-1]].table.add(name=path[-1], full_name=".".join(path))
        for name, type_ in table.columns.items():
            entry.column.add(name=name, is_writable_column=True).type.CopyFrom(type_)
    for name, type_ in variables.items():
        constant = catalog.constant.add(name_path=[name])
        constant.type.CopyFrom(type_)


class _BlockwiseClient(wasm_client.WasmClient):  # type: ignore[misc]
    """Memory copied in blocks, not byte by byte."""

    def write_bytes(self, pointer: int, data: bytes) -> None:
        ctypes.memmove(self._address + pointer, data, len(data))

    def read_bytes(self, pointer: int, size: int) -> bytes:
        return ctypes.string_at(self._address + pointer, size)

    @property
    def _address(self) -> int:
        return ctypes.addressof(self.memory.data_ptr().contents)


@functools.cache
def _client(cache: Path = CACHE) -> _BlockwiseClient:
    """Start the engine, compiled once a machine and not once a process."""
    cache.mkdir(parents=True, exist_ok=True)
    settings = cache / "cache.toml"
    settings.write_text(f'[cache]\ndirectory = "{cache}"\n')

    class CachedConfig(wasmtime.Config):
        def __init__(self) -> None:
            super().__init__()
            self.cache = str(settings)

    original = wasm_client.Config
    wasm_client.Config = CachedConfig
    try:
        return _BlockwiseClient(str(get_wasm_path()))
    finally:
        wasm_client.Config = original
