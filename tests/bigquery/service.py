"""A warehouse whose statements Google's engine checks and answers: tables in memory, one statement after the other.

Every statement is analysed as it came. Queries are run by the reference implementation; what changes a table (create, merge,
insert, delete) is put down to queries for the rows that the table then has, so that here too no value is made by us.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bigquery import values
from bigquery.engine import Engine, Path3, RefusedError, Rows, Statement, Table, concrete, inherited

MATCHED, BY_SOURCE, BY_TARGET = 1, 2, 3
INSERT, UPDATE, DELETE = 1, 2, 3
NUMBER = "number_of_the_row"
SUBQUERY_IN_JOIN = re.compile(
    r"\bjoin\b(?:(?!\b(?:where|group|union|order|select|when)\b).)*?\bon\b"
    r"(?:(?!\b(?:where|group|union|order|select|join|when)\b).)*?\b(?:in|exists)\s*\(\s*select\b",
    re.IGNORECASE | re.DOTALL,
)
SCHEMA_VIEWS = "INFORMATION_SCHEMA"
COLUMNS_OF_COLUMNS = {
    **dict.fromkeys(("table_schema", "table_name", "column_name"), "STRING"),
    "ordinal_position": "INT64",
    **dict.fromkeys(("is_nullable", "data_type", "column_default"), "STRING"),
}
NOTHING_FOUND = "select 0 as failures, false as should_warn, false as should_error"


Parameter: TypeAlias = tuple[str, Any]
"""Type and value of a parameter."""


@dataclass
class Stored:
    """A table, or a view, in a dataset."""

    table: Table
    view: str | None = None
    """The query of a view; its rows are found when they are asked for."""
    partitioned_by: str | None = None
    clustered_by: tuple[str, ...] = ()
    description: str | None = None
    version: int = 0
    """Another number after every change."""


@dataclass(frozen=True)
class Answer:
    """What one statement or script gave."""

    kind: str
    """As BigQuery calls it, such as `SELECT`, `CREATE_TABLE_AS_SELECT` or `SCRIPT`."""
    table: Table
    changed: Path3 | None = None


@dataclass(frozen=True)
class Sent:
    """One statement that came in, and what became of it."""

    text: str
    kind: str
    refusal: str | None = None


@dataclass
class Service:
    """Datasets and what is in them."""

    project: str
    engine: Engine = field(default_factory=Engine)
    stored: dict[Path3, Stored] = field(default_factory=dict)
    datasets: set[str] = field(default_factory=set)
    grants: list[str] = field(default_factory=list)
    log: list[Sent] = field(default_factory=list)
    is_only_checking: bool = False
    """Whether data tests are analysed and none of them run: each finds nothing."""
    _variables: dict[str, tuple[values.Type, str]] = field(default_factory=dict)
    """Type and literal of each variable of the script at work."""
    _views: dict[Path3, tuple[object, Table]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _changes: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))

    def execute(self, script: str, parameters: Sequence[Parameter] = ()) -> Answer:
        """Run a statement or a script; `parameters` stand for its question marks. Raises RefusedError where BigQuery would."""
        with self._lock:
            self._variables, answer = {}, Answer("SCRIPT", Table({}))
            if parameters:
                # As it came it is analysed with its parameters, and with literals in their place it is run.
                self.check(script, [values.type_of(type_) for type_, _ in parameters])
                script = _filled(script, parameters)
            statements = self.engine.statements(script)
            for statement in statements:
                try:
                    answer = self._statement(statement)
                except RefusedError as error:
                    self.log.append(Sent(statement.text, statement.kind, str(error)))
                    raise
                self.log.append(Sent(statement.text, statement.kind))
            return answer if len(statements) == 1 else Answer("SCRIPT", answer.table)

    def check(self, statement: str, parameters: Sequence[values.Type] = ()) -> dict[str, values.Type] | None:
        """Analyse one statement with the tables and variables that there are."""
        known = {
            path: self._find(path).table
            for path in self.engine.tables_in(statement)
            if self._full(path) in self.stored or path[-2:-1] == (SCHEMA_VIEWS,)
        }
        types = {name: type_ for name, (type_, _) in self._variables.items()}
        return self.engine.analyse(statement, known, types, parameters)

    def put(self, path: Path3, stored: Stored) -> None:
        """Store a table in place of what was there."""
        stored.version = next(self._changes)
        self.datasets.add(path[1])
        self.stored[path] = stored

    def append(self, path: Path3, added: Table) -> None:
        """Add rows to a table, as a load does."""
        with self._lock:
            self._replace(path, "LOAD", self._find(path).table.rows, added.rows)

    def rows(self, path: Path3) -> Table:
        """A table with its rows, a view's included."""
        stored = self._find(path)
        if stored.view is None:
            return stored.table
        state = self._state(path)
        if self._views.get(path, (None,))[0] != state:
            table = self._query(stored.view)
            self._views[path] = (state, Table(stored.table.columns, table.rows))
        return self._views[path][1]

    def _state(self, path: Path3) -> object:
        stored = self._find(path)
        if stored.view is None:
            return stored.version
        return (stored.version, *(self._state(other) for other in sorted(self.engine.tables_in(stored.view))))

    def _full(self, path: Path3) -> Path3:
        names = 2 + (path[-2:-1] == (SCHEMA_VIEWS,))
        return path if len(path) != names else (self.project, *path)

    def _find(self, path: Path3) -> Stored:
        if path[-2:] == (SCHEMA_VIEWS, "COLUMNS"):
            return self._columns(self._full(path)[1])
        try:
            return self.stored[self._full(path)]
        except KeyError:
            raise RefusedError(f"Table not found: {'.'.join(path)}") from None

    def _columns(self, dataset: str) -> Stored:
        """What a dataset says of its columns."""
        if dataset not in self.datasets:
            raise RefusedError(f"Dataset not found: {dataset}")
        rows = [
            (dataset, path[2], name, position, "YES", type_, None)
            for path, stored in sorted(self.stored.items())
            if path[1] == dataset
            for position, (name, type_) in enumerate(stored.table.types.items(), start=1)
        ]
        return Stored(Table.of(COLUMNS_OF_COLUMNS, rows), version=next(self._changes))

    def _query(self, query: str, **beside: Table) -> Table:
        """Run a query over stored tables, and over those given beside them by their name alone."""
        tables: dict[Path3, Table] = {(name,): table for name, table in beside.items()}
        for path in self.engine.tables_in(query):
            if path not in tables:
                tables[path] = self.rows(path)
                spelled = r"\.".join(f"`?{re.escape(part)}`?" for part in path)
                query = re.sub(rf"(?<![`\w.]){spelled}(?![`\w])", f"`{'.'.join(path)}`", query)
        for name, (_, literal) in self._variables.items():
            query = re.sub(rf"\b{name}\b", f"({literal})".replace("\\", r"\\"), query)
        return self.engine.query(query, tables)

    def _statement(self, statement: Statement) -> Answer:
        node: Any = statement.node
        match statement.kind:
            case "variable_declaration":
                return self._declare(statement)
            case "single_assignment":
                return self._assign([node.variable], statement.text_of(node.expression))
            case "assignment_from_struct":
                return self._assign(
                    node.variables.identifier_list, statement.text_of(node.struct_expression), unpack=True
                )
        columns = self.check(statement.text)
        if SUBQUERY_IN_JOIN.search(statement.text):
            # What the analyser takes and BigQuery does not.
            raise RefusedError("IN subquery is not supported inside join predicate.")
        match statement.kind:
            case "query_statement" if self.is_only_checking and "should_error" in (columns or {}):
                return Answer("SELECT", self.engine.query(NOTHING_FOUND, {}))
            case "query_statement":
                return Answer("SELECT", self._query(statement.text))
            case "create_table_statement":
                return self._create_table(statement, columns or {})
            case "create_view_statement":
                path = _path(inherited(node, "name").name)
                view = statement.text_of(inherited(node, "query").query)
                self.put(path, Stored(Table(columns or {}), view))
                return Answer("CREATE_VIEW", Table({}), path)
            case "begin_statement" | "commit_statement":
                # One statement after the other: nobody sees what is between them.
                return Answer("SCRIPT", Table({}))
            case "create_schema_statement":
                self.datasets.add(_path(inherited(node, "name").name)[-1])
                return Answer("CREATE_SCHEMA", Table({}))
            case "drop_statement":
                self.stored.pop(self._full(_path(node.name)), None)
                return Answer("DROP_TABLE", Table({}))
            case "merge_statement":
                return self._merge(statement)
            case "delete_statement":
                return self._delete(statement)
            case "insert_statement":
                return self._insert(statement)
            case "truncate_statement":
                return self._replace(self._full(_path_in(node.target_path)), "TRUNCATE_TABLE")
            case "alter_table_statement" | "alter_view_statement" | "alter_schema_statement":
                return Answer("ALTER_TABLE", Table({}))
            case "grant_statement" | "revoke_statement":
                self.grants.append(statement.text)
                return Answer(statement.kind.split("_")[0].upper(), Table({}))
        raise NotImplementedError(statement.kind)

    def _declare(self, statement: Statement) -> Answer:
        node: Any = statement.node
        default = statement.text_of(node.default_value) if node.HasField("default_value") else None
        if node.HasField("type"):
            type_ = statement.text_of(node.type)
            default = f"cast({default or 'null'} as {type_})"
        type_, literal = self._value(f"({default})")
        for name in node.variable_list.identifier_list:
            self._variables[name.id_string] = (type_, literal)
        return Answer("SCRIPT", Table({}))

    def _assign(self, names: Any, expression: str, *, unpack: bool = False) -> Answer:
        fields = [f"({expression})"]
        if unpack:
            [struct] = self.check(f"select ({expression}) as found").values()  # type: ignore[union-attr]
            fields = [f"({expression}).{each.field_name}" for each in struct.struct_type.field]
            if not all(each.field_name for each in struct.struct_type.field):
                if len(fields) != 1:
                    raise NotImplementedError("several fields without a name")
                # A struct of one field without a name: its value is what a plain subquery gives.
                fields = [re.sub(r"(?i)select\s+as\s+struct", "select", f"({expression})", count=1)]
        for name, value in zip(names, fields, strict=True):
            wanted = values.name_of(self._variables[name.id_string][0])
            # An assignment converts as a comparison does.
            self.check(f"select if(true, {value}, cast(null as {wanted}))")
            self._variables[name.id_string] = self._value(f"cast({value} as {wanted})")
        return Answer("SCRIPT", Table({}))

    def _value(self, expression: str) -> tuple[values.Type, str]:
        self.check(f"select {expression} as found")
        [type_] = self._query(f"select {expression} as found").columns.values()
        [(literal,)] = self._query(f"select format('%T', {expression})").values()
        return type_, f"cast({literal} as {values.name_of(type_)})"

    def _create_table(self, statement: Statement, columns: dict[str, values.Type]) -> Answer:
        node: Any = statement.node
        path = self._full(_path(inherited(node, "name").name))
        if _has_flag(node, "is_if_not_exists") and path in self.stored:
            return Answer("CREATE_TABLE", Table({}))
        clustered = node.cluster_by.clustering_expressions
        stored = Stored(
            Table(columns),
            partitioned_by=statement.text_of(node.partition_by.partitioning_expressions[0])
            if node.HasField("partition_by")
            else None,
            clustered_by=tuple(statement.text_of(each).strip("`") for each in clustered),
        )
        kind = "CREATE_TABLE"
        if node.HasField("query"):
            kind = "CREATE_TABLE_AS_SELECT"
            found = self._query(statement.text_of(node.query))
            if list(map(values.name_of, found.columns.values())) != list(
                map(values.name_of, columns.values())
            ):
                cast = ", ".join(
                    f"cast(`{source}` as {values.name_of(type_)}) as `{name}`"
                    for source, (name, type_) in zip(found.columns, columns.items(), strict=True)
                )
                found = self._query(f"select {cast} from query_result", query_result=found)
            stored.table = Table(columns, found.rows)
        self.put(path, stored)
        return Answer(kind, Table({}), path)

    def _insert(self, statement: Statement) -> Answer:
        node: Any = statement.node
        path = self._full(_path_in(node.target_path))
        target = self._find(path).table
        names = [each.id_string for each in node.column_list.identifiers] or list(target.columns)
        if node.HasField("query"):
            source = statement.text_of(node.query)
        else:
            rows = (
                ", ".join(statement.text_of(each) for each in getattr(row, "values"))  # noqa: B009
                for row in node.rows.rows
            )
            source = " union all ".join(f"select {row}" for row in rows)
        found = self._query(source)
        given = dict(zip(names, found.columns, strict=True))
        chosen = ", ".join(
            f"cast({f'`{given[name]}`' if name in given else 'null'} as {values.name_of(type_)}) as `{name}`"
            for name, type_ in target.columns.items()
        )
        added = self._query(f"select {chosen} from query_result", query_result=found)
        return self._replace(path, "INSERT", target.rows, added.rows)

    def _delete(self, statement: Statement) -> Answer:
        node: Any = statement.node
        path = self._full(_path_in(node.target_path))
        name = statement.text_of(node.alias.identifier) if node.HasField("alias") else path[-1]
        kept = self._query(
            f"select * from target as {name} where not coalesce(({statement.text_of(node.where)}), false)",
            target=self._find(path).table,
        )
        return self._replace(path, "DELETE", kept.rows)

    def _merge(self, statement: Statement) -> Answer:
        node: Any = statement.node
        path = self._full(_path(node.target_path))
        target = self._find(path).table
        goal = statement.text_of(node.alias.identifier) if node.HasField("alias") else path[-1]
        _, expression = concrete(node.table_expression)
        origin = statement.text_of(expression.alias.identifier)
        tables = {
            "target": target,
            "source": self._query(f"select * from {statement.text_of(node.table_expression)}"),
        }
        on = f"({statement.text_of(node.merge_condition)})"
        clauses: dict[int, Any] = {}
        for clause in node.when_clauses.clause_list:
            if clause.match_type in clauses:
                raise NotImplementedError("several clauses for the same rows")
            clauses[clause.match_type] = clause

        def holds(clause: Any) -> str:
            if not clause.HasField("search_condition"):
                return "true"
            return f"coalesce(({statement.text_of(clause.search_condition)}), false)"

        pairs = f"from target as {goal} inner join source as {origin} on {on}"
        numbers = f"{goal}.{NUMBER} as of_target, {origin}.{NUMBER} as of_source"
        numbered = {name: _numbered(table) for name, table in tables.items()}
        met = self._query(f"select {numbers} {pairs}", **numbered).values()
        of_target, of_source = (Counter(pair[side] for pair in met) for side in (0, 1))
        without_partner = _only(target, lambda number: number not in of_target)
        # Rows without a partner stay, but for those that a clause deletes.
        stays = "true"
        if BY_SOURCE in clauses:
            if clauses[BY_SOURCE].action.action_type != DELETE:
                raise NotImplementedError("update of rows that the source lacks")
            stays = f"not {holds(clauses[BY_SOURCE])}"
        parts = [
            self._query(f"select {goal}.* from target as {goal} where {stays}", target=without_partner).rows
        ]
        if MATCHED not in clauses:
            parts.append(_only(target, lambda number: number in of_target).rows)
        else:
            action = clauses[MATCHED].action
            if max(of_target.values(), default=0) > 1:
                raise RefusedError("UPDATE/MERGE must match at most one source row for each target row")
            if action.action_type != UPDATE or clauses[MATCHED].HasField("search_condition"):
                raise NotImplementedError("rows that match are updated, without a condition")
            assigned = {}
            for item in action.update_item_list.update_items:
                column = statement.text_of(item.set_value.path).strip("`").split(".")[-1].strip("`")
                assigned[column.lower()] = statement.text_of(item.set_value.value)
            chosen = ", ".join(
                f"cast({assigned.get(name.lower(), f'{goal}.`{name}`')} as {values.name_of(type_)}) as `{name}`"
                for name, type_ in target.columns.items()
            )
            parts.append(self._query(f"select {chosen} {pairs}", **tables).rows)
        if BY_TARGET in clauses:
            action = clauses[BY_TARGET].action
            given = dict(
                zip(
                    (each.id_string for each in action.insert_column_list.identifiers),
                    (statement.text_of(each) for each in getattr(action.insert_row, "values")),  # noqa: B009
                    strict=True,
                )
            )
            chosen = ", ".join(
                f"cast({given.get(name, 'null')} as {values.name_of(type_)}) as `{name}`"
                for name, type_ in target.columns.items()
            )
            fresh = _only(tables["source"], lambda number: number not in of_source)
            added = f"select {chosen} from source as {origin} where {holds(clauses[BY_TARGET])}"
            parts.append(self._query(added, source=fresh).rows)
        return self._replace(path, "MERGE", *parts)

    def _replace(self, path: Path3, kind: str, *parts: Rows) -> Answer:
        stored, rows = self._find(path), Table({}).rows
        for part in parts:
            rows.table_data.row.extend(part.table_data.row)
        stored.table = Table(stored.table.columns, rows)
        stored.version = next(self._changes)
        return Answer(kind, Table({}), path)


def _path(node: Any) -> Path3:
    return tuple(part for name in node.names for part in name.id_string.split("."))


def _path_in(node: Any) -> Path3:
    return _path(concrete(node)[1])


def _has_flag(node: Any, name: str) -> bool:
    return bool(getattr(inherited(node, name), name))


def _filled(statement: str, parameters: Sequence[Parameter]) -> str:
    """Write parameters where a statement has question marks, outside of texts and names."""
    literals = iter([values.literal(value, type_) for type_, value in parameters])
    parts = re.split(r"(\?|'[^']*'|`[^`]*`)", statement)
    return "".join(next(literals) if part == "?" else part for part in parts)


def _numbered(table: Table) -> Table:
    """The rows of a table with their numbers behind them."""
    found = Table(table.columns | {NUMBER: values.type_of("INT64")})
    for number, row in enumerate(table.rows.table_data.row):
        cells = found.rows.table_data.row.add().cell
        cells.extend(row.cell)
        cells.append(values.encoded(number, found.columns[NUMBER]))
    return found


def _only(table: Table, is_one: Callable[[int], bool]) -> Table:
    """The rows of a table whose number is one of those."""
    found = Table(table.columns)
    found.rows.table_data.row.extend(
        row for number, row in enumerate(table.rows.table_data.row) if is_one(number)
    )
    return found
