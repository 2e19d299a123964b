"""What the emulator does otherwise, where that cannot be mended on the wire. Runs in the emulator's own environment."""

import contextlib
import gzip
import sys
from collections import deque
from pathlib import Path
from typing import Any

import duckdb

GZIP = b"\x1f\x8b"
ANSWERS_KEPT = 10
EXACT = (
    "create or replace macro bq.main.exact_product(value, factor) as"
    " cast(cast(value as decimal(38, 12)) * cast(factor as decimal(18, 8)) as decimal(38, 12))",
    "create or replace macro bq.main.in_parts(value) as cast(cast(value as decimal(38, 12)) * 1000000000000 as hugeint)",
    "create or replace macro bq.main.exact_share(value, factor, divisor) as"
    " cast((bq.main.in_parts(value) * factor) // bq.main.in_parts(divisor) as decimal(38, 12)) + cast("
    "(2 * ((bq.main.in_parts(value) * factor) % bq.main.in_parts(divisor)) * 1000000000000 + bq.main.in_parts(divisor))"
    " // (2 * bq.main.in_parts(divisor)) as decimal(38, 0)) * cast('0.000000000001' as decimal(13, 12))",
)
"""Product, and product and quotient, of exact numbers, rounded at the twelfth decimal."""


def keep_in_memory() -> None:
    """Keep tables in plain databases of DuckDB's rather than in DuckLake, where each question takes a tenth of a second."""
    from local_bigquery.engine import database  # type: ignore[import-not-found,unused-ignore]

    def attach(connection: Any, project: str) -> None:
        connection.execute(f"attach if not exists ':memory:' as {database.quote(project)}")
        for definition in EXACT:
            connection.execute(definition)
        database._attached.add(project)

    database._attach = attach
    database.projects = lambda: sorted(database._attached)


def ask_less() -> None:
    """Ask for the columns of one table rather than of all, and drop the answers of jobs long ago, which are tables too."""
    from local_bigquery.engine import database, results  # type: ignore[import-not-found,unused-ignore]

    # With each parameter of a query DuckDB looks whether it is there.
    sys.modules.setdefault("pandas", None)  # type: ignore[arg-type]
    fetch = database.fetch

    def quicker(query: str, parameters: Any = None) -> Any:
        if "duckdb_columns()" not in query:
            return fetch(query, parameters)
        table = database.quote(*parameters[:3]).replace("'", "''")
        try:
            columns = fetch(f"select name, \"notnull\" from pragma_table_info('{table}')")
        except duckdb.CatalogException:
            return []
        if "column_name = ?" in query:
            return [(1,) for name, _ in columns if name == parameters[3]]
        return [(name,) for name, is_required in columns if is_required]

    database.fetch = quicker
    write, kept = results.materialise, deque[str]()

    def materialise(cursor: Any, query: str, name: str, *options: Any, **others: Any) -> None:
        write(cursor, query, name, *options, **others)
        if name.startswith('"emulator"."_results".'):
            kept.append(name)
            if len(kept) > ANSWERS_KEPT:
                cursor.execute(f"drop table if exists {kept.popleft()}")

    results.materialise = materialise


def reckon_exactly() -> None:
    """Reckon in exact numbers what is rounded at its twelfth decimal.

    The emulator has no BIGNUMERIC: 38 digits, of which 18 are decimals, so that products overflow and quotients are binary.
    """
    from local_bigquery.sql import dialect, rules  # type: ignore[import-not-found,unused-ignore]
    from sqlglot import exp  # type: ignore[import-not-found,unused-ignore]

    def exact(node: Any) -> Any:
        if not (isinstance(node, exp.Round) and node.text("decimals") == "12"):
            return node
        found = node.this
        if isinstance(found, exp.Div) and isinstance(found.this, exp.Mul):
            return dialect.macro(
                "exact_share", *map(within, (*found.this.unnest_operands(), found.expression))
            )
        if isinstance(found, exp.Mul):
            return dialect.macro("exact_product", *map(within, found.unnest_operands()))
        return node

    def within(node: Any) -> Any:
        return node.copy().transform(exact)

    rules.STATEMENT_RULES.insert(0, lambda tree, context: within(tree))


def load_as_bigquery_does() -> None:
    """Let loads take compressed files, and read them by the schema of the table where they bring none."""
    from local_bigquery.catalog import tables  # type: ignore[import-not-found,unused-ignore]
    from local_bigquery.errors import BigQueryError  # type: ignore[import-not-found,unused-ignore]
    from local_bigquery.jobs import runner  # type: ignore[import-not-found,unused-ignore]

    load = runner.HANDLERS["load"]

    def run(cursor: Any, settings: Any, upload: str | None) -> Any:
        if upload and Path(upload).read_bytes().startswith(GZIP):
            Path(upload).write_bytes(gzip.decompress(Path(upload).read_bytes()))
        if settings.schema_ is None:
            with contextlib.suppress(BigQueryError):
                stored = tables.load(*tables.reference(settings.destinationTable))
                settings = settings.replace(schema=stored.schema_)
        return load(cursor, settings, upload)

    runner.HANDLERS["load"] = run
