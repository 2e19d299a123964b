"""Statements as they were sent, each put to Google's analyser, with the tables that those before it made."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from zetasql.wasi._pb2.zetasql.public import options_pb2 as public

from bigquery.engine import Engine, Path3, RefusedError, Statement, Table, inherited

_COLUMNS = {"table_name": "STRING", "column_name": "STRING", "data_type": "STRING", "is_nullable": "STRING"}
COMMENT = re.compile(r"/\* \{.*?\} \*/")
CATALOGUE = {
    "COLUMNS": Table.of(_COLUMNS | {"ordinal_position": "INT64"}),
    "OBJECT_PRIVILEGES": Table.of(
        dict.fromkeys(("object_schema", "object_name", "object_type", "privilege_type", "grantee"), "STRING")
    ),
}
"""What is asked of BigQuery's own INFORMATION_SCHEMA."""


class Lenient(Engine):
    """The engine, for statements whose values are sent beside them and stand in them as question marks."""

    def _options(self, options: Any) -> None:
        super()._options(options)
        options.parameter_mode = public.PARAMETER_POSITIONAL
        options.allow_undeclared_parameters = True


@dataclass
class Checked:
    """What the analyser said of statements, in the order in which they were sent."""

    project: str
    tables: dict[Path3, Table]
    """What was there before, with the project in front."""
    kinds: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    """What it said, and of what."""
    sought: set[Path3] = field(default_factory=set)
    """Tables that were asked before they were made."""
    valid: set[str] = field(default_factory=set)
    engine: Engine = field(default_factory=Lenient)

    def take(self, scripts: Iterable[str]) -> "Checked":
        """Check scripts of one or more statements, those that were sent several times once."""
        for script in scripts:
            variables: dict[str, Any] = {}
            # dbt says in front who asks.
            bare = COMMENT.sub("", script, count=1).strip()
            if bare in self.valid:
                continue
            try:
                for statement in self.engine.statements(script):
                    self.kinds.append(statement.kind)
                    self._check(statement, variables)
                self.valid.add(bare)
            except RefusedError as error:
                self.refused.append((str(error), script))
        self._forgive()
        return self

    def _forgive(self) -> None:
        """Set apart what was refused for a table alone that was made afterwards."""
        for error, script in list(self.refused):
            missing = re.match(r"Table not found: `?([\w.]+)", error)
            path = self._full(tuple(missing[1].split("."))) if missing else ()
            if path in self.tables:
                self.sought.add(path)
                self.refused.remove((error, script))

    def _check(self, statement: Statement, variables: dict[str, Any]) -> None:
        node: Any = statement.node
        if statement.kind == "variable_declaration":
            default = statement.text_of(node.default_value) if node.HasField("default_value") else "null"
            if node.HasField("type"):
                default = f"cast({default} as {statement.text_of(node.type)})"
            [type_] = self._analyse(f"select {default} as found", variables).values()
            variables |= {name.id_string: type_ for name in node.variable_list.identifier_list}
        elif statement.kind == "single_assignment":
            self._analyse(f"select {statement.text_of(node.expression)} as found", variables)
        elif statement.kind == "assignment_from_struct":
            self._analyse(f"select {statement.text_of(node.struct_expression)} as found", variables)
        else:
            columns = self._analyse(statement.text, variables)
            if statement.kind in {"create_table_statement", "create_view_statement"}:
                self.tables[self._full(_path(inherited(node, "name").name))] = Table(columns)
            elif statement.kind == "drop_statement":
                self.tables.pop(self._full(_path(node.name)), None)

    def _analyse(self, statement: str, variables: dict[str, Any]) -> dict[str, Any]:
        return self.engine.analyse(statement, self._known(statement), variables) or {}

    def _known(self, statement: str) -> dict[Path3, Table]:
        found = {}
        for path in self.engine.tables_in(statement):
            if "INFORMATION_SCHEMA" in path:
                found[path] = CATALOGUE[path[-1]]
            elif self._full(path) in self.tables:
                found[path] = self.tables[self._full(path)]
        return found

    def _full(self, path: Path3) -> Path3:
        return path if len(path) != 2 else (self.project, *path)


def _path(node: Any) -> Path3:
    return tuple(part for name in node.names for part in name.id_string.split("."))
