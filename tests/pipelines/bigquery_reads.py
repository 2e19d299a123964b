"""What statements read of partitioned tables, found from their text alone.

BigQuery leaves partitions out by conditions on the partition column that hold constants. Conditions are followed from where
they stand down to the tables, through views, CTEs, unions and groups; not through windows, and not from one side of a join to
the other, so that nothing is taken for left out that BigQuery might read.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp, parse_one

Bound = tuple[str, str | None]
"""First and last day, as texts, of what a condition lets through."""
EVERYTHING: Bound = ("", None)
NOTHING: Bound = ("9", "")


@dataclass(frozen=True)
class Reading:
    """One place where a partitioned table is read."""

    table: str
    bound: Bound

    @property
    def is_whole(self) -> bool:
        """Whether nothing says where it begins."""
        return self.bound[0] == ""

    @property
    def is_nothing(self) -> bool:
        """Whether no row can come of it."""
        return self.bound == NOTHING


@dataclass
class Reader:
    """Knows the views and the partition column of each table, by its name without the project."""

    views: Mapping[str, str]
    partitions: Mapping[str, str]
    _parsed: dict[str, Any] = field(default_factory=dict)

    def readings(self, statement: str) -> list[Reading]:
        """Find every reading of a partitioned table in a query."""
        return list(self._query(parse_one(statement, dialect="bigquery"), [], {}))

    def _query(self, node: Any, conditions: list[Any], known: dict[str, Any]) -> Iterator[Reading]:
        """Readings of a query whose rows meet the conditions, which are on its columns by their names alone."""
        for cte in getattr(node, "ctes", []):
            # A CTE sees those before it.
            known = known | {cte.alias_or_name: (cte.this, known)}
        if isinstance(node, exp.SetOperation):
            names = [each.alias_or_name for each in node.left.selects]
            for side in (node.left, node.right):
                own = [each.alias_or_name for each in side.selects]
                renamed = [_renamed(each, dict(zip(names, own, strict=False))) for each in conditions]
                yield from self._query(side, renamed, known)
        elif isinstance(node, exp.Subquery):
            yield from self._query(node.this, conditions, known)
        elif isinstance(node, exp.Select):
            yield from self._select(node, conditions, known)

    def _select(self, node: exp.Select, conditions: list[Any], known: dict[str, Any]) -> Iterator[Reading]:
        inner = [*_conjuncts(node.args.get("where"))]
        if not (any(node.find_all(exp.Window)) or node.args.get("limit") or node.args.get("qualify")):
            expressions = {each.alias_or_name: each.unalias() for each in node.selects}
            is_grouped = node.args.get("group") is not None or any(
                each.find(exp.AggFunc) for each in node.selects
            )
            for condition in conditions:
                resolved = _resolved(condition, expressions, is_grouped=is_grouped)
                if resolved is not None:
                    inner.append(resolved)
        joins = node.args.get("joins") or []
        sources: list[tuple[Any, list[Any]]] = (
            [(node.args["from_"].this, [])] if node.args.get("from_") else []
        )
        for join in joins:
            sources.append((join.this, [*_conjuncts(join.args.get("on"))]))
        is_alone = len(sources) == 1
        for source, on in sources:
            name = source.alias_or_name
            own = [
                bare
                for each in [*inner, *on]
                if (bare := _of_source(each, name, is_alone=is_alone)) is not None
            ]
            yield from self._source(source, own, known)
        for condition in inner:
            for subquery in condition.find_all(exp.Query):
                if subquery.parent_select is node or subquery.find_ancestor(exp.Select) is None:
                    yield from self._query(subquery, [], known)

    def _source(self, source: Any, conditions: list[Any], known: dict[str, Any]) -> Iterator[Reading]:
        if isinstance(source, exp.Subquery):
            yield from self._query(source.this, conditions, known)
        elif isinstance(source, exp.Table):
            name = f"{source.db}.{source.name}" if source.db else source.name
            if not source.db and name in known:
                query, scope = known[name]
                yield from self._query(query, conditions, scope)
            elif name in self.views:
                if name not in self._parsed:
                    self._parsed[name] = parse_one(self.views[name], dialect="bigquery")
                yield from self._query(self._parsed[name], conditions, {})
            elif name in self.partitions:
                yield Reading(name, _bound(conditions, self.partitions[name]))


def _conjuncts(clause: Any) -> Iterator[Any]:
    if clause is None:
        return
    condition = clause.this if isinstance(clause, exp.Where) else clause
    condition = condition.unnest()
    yield from (
        each.unnest() for each in (condition.flatten() if isinstance(condition, exp.And) else [condition])
    )


def _renamed(condition: Any, names: dict[str, str]) -> Any:
    copy = condition.copy()
    for column in copy.find_all(exp.Column):
        column.set("this", exp.to_identifier(names.get(column.name, column.name)))
    return copy


def _resolved(condition: Any, expressions: dict[str, Any], *, is_grouped: bool) -> Any:
    """Write a condition on what a select gives as one on what it reads; None where it cannot be one."""
    copy = condition.copy()
    for column in list(copy.find_all(exp.Column)):
        expression = expressions.get(column.name)
        if expression is None and "*" in expressions:
            continue
        if not isinstance(expression, exp.Column):
            # A constant or a computed value: what it says of a partition is not known.
            if copy.key == "boolean":
                return copy
            return None
        column.replace(expression.copy())
    return copy


def _of_source(condition: Any, name: str, *, is_alone: bool) -> Any:
    """Give a condition that is on one source alone, without its name; parts of an `or` count together."""
    columns = list(condition.find_all(exp.Column))
    if any(condition.find_all(exp.Query)):
        return None
    if any(
        column.table not in ({name, ""}) or (column.table == "" and not is_alone and not _is_time(column))
        for column in columns
    ):
        return None
    copy = condition.copy()
    for column in copy.find_all(exp.Column):
        column.set("table", None)
    return copy


def _is_time(column: exp.Column) -> bool:
    # Joined tables of ours have these columns on one side only where they are written without a table.
    return column.name in {"occurred_at", "event_date", "last_date"}


def _bound(conditions: list[Any], column: str) -> Bound:
    found = EVERYTHING
    for condition in conditions:
        found = _both(found, _bound_of(condition, column))
    return found


def _bound_of(condition: Any, column: str) -> Bound:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        return _both(_bound_of(condition.left, column), _bound_of(condition.right, column))
    if isinstance(condition, exp.Or):
        sides = [_bound_of(each, column) for each in (condition.left, condition.right)]
        return (
            min(first for first, _ in sides),
            None if any(last is None for _, last in sides) else max(last or "" for _, last in sides),
        )
    if isinstance(condition, exp.Boolean):
        return EVERYTHING if condition.this else NOTHING
    if isinstance(condition, exp.Is) and _is_column(condition.this, column):
        return NOTHING if isinstance(condition.expression, exp.Null) else EVERYTHING
    if isinstance(condition, exp.In) and _is_column(condition.this, column):
        days = [_day(each) for each in condition.expressions]
        if days and all(days):
            return (min(day for day in days if day), max(day for day in days if day))
    if isinstance(condition, (exp.GTE, exp.GT, exp.EQ, exp.LT, exp.LTE)) and _is_column(
        condition.this, column
    ):
        day = _day(condition.expression)
        if day:
            return {exp.GTE: (day, None), exp.GT: (day, None), exp.EQ: (day, day)}.get(
                type(condition), ("", day)
            )
    return EVERYTHING


def _is_column(node: Any, column: str) -> bool:
    return isinstance(node, exp.Column) and node.name == column


def _day(node: Any) -> str | None:
    while isinstance(node, (exp.Cast, exp.TsOrDsToDate, exp.Paren)):
        node = node.this
    if not isinstance(node, exp.Literal):
        return None
    return dt.date.fromisoformat(node.this[:10]).isoformat()


def _both(one: Bound, other: Bound) -> Bound:
    if NOTHING in (one, other):
        return NOTHING
    lasts = [last for last in (one[1], other[1]) if last is not None]
    return (max(one[0], other[0]), min(lasts) if lasts else None)
