"""The state of the warehouse on one screen: loads, what is broken, what was built."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from pipelines.sources.load import query
from pipelines.warehouse import Warehouse

STALE_AFTER = dt.timedelta(hours=36)
"""Age of a last load from which a source counts as stale; the sources' YAML says the same to dbt."""


@dataclass(frozen=True)
class _Source:
    name: str
    loads: str
    """The table that has a row of each load, and with its time in `loaded_at`."""
    loaded_at: str
    tables: tuple[str, ...]
    quarantine: str | None
    has_schedule: bool = True


_SOURCES = (
    _Source("events", "files", "loaded_at", ("events",), "quarantine"),
    _Source(
        "stripe",
        "resources",
        "checked_at",
        ("invoices", "subscriptions", "customers", "products", "prices", "credit_notes", "refunds"),
        "quarantine",
    ),
    _Source("scraped", "observations", "loaded_at", ("observations",), None),
    _Source("pushed", "files", "loaded_at", ("metric_values",), "quarantine", has_schedule=False),
)


_FAILING = """
with looks as (
    select
        *,
        max(case when state = 'ok' then observed_at end) over (partition by metric_key) as last_read_at,
        row_number() over (partition by metric_key order by observed_at desc) as age
    from {scraped}.observations
)
select
    metric_key,
    max(case when age = 1 then state end) as state,
    max(case when age = 1 then reason end) as reason,
    min(observed_at) as since
from looks
where last_read_at is null or observed_at > last_read_at
group by metric_key
order by metric_key
"""
"""Figures that failed when they were last looked at, with the first failure after the last value."""


def sources_table(warehouse: Warehouse, now: dt.datetime) -> Table:
    """Make the table of the last load of each source; `now` is an instant with a zone."""
    table = Table(title="Sources")
    for name in ("", "last load (UTC)", "freshness", "rows", "quarantine"):
        table.add_column(name, justify="right" if name in {"rows", "quarantine"} else "left", no_wrap=True)
    for source in _SOURCES:
        newest = query(
            warehouse,
            f"select {source.loaded_at} as loaded_at, _dlt_load_id as load_id"  # noqa: S608 - the names are ours
            f" from {warehouse.dataset(source.name)}.{source.loads} order by {source.loaded_at} desc limit 1",
        )
        if not newest:
            table.add_row(source.name, "never", "-", "-", "-")
            continue
        loaded_at, load_id = newest[0]["loaded_at"].astimezone(dt.UTC), newest[0]["load_id"]
        table.add_row(
            source.name,
            f"{loaded_at:%Y-%m-%d %H:%M}",
            _freshness(now - loaded_at, has_schedule=source.has_schedule),
            f"{_rows_of_load(warehouse, source, source.tables, load_id):,}",
            _left_out(warehouse, source, load_id) if source.quarantine else "-",
        )
    return table


def problem_lines(warehouse: Warehouse) -> Iterator[str]:
    """Say what could not be read when it was last tried: figures on pages, lists of Stripe."""
    for row in query(
        warehouse,
        _FAILING.format(scraped=warehouse.dataset("scraped")),
    ):
        yield f"scraped: {row['metric_key']} is {row['state']} ({row['reason']}), without a value since {row['since']:%Y-%m-%d}"
    for row in query(
        warehouse,
        f"select resource, state, checked_at from {warehouse.dataset('stripe')}.resources"  # noqa: S608 - a name of ours
        " where state = 'unavailable' order by resource",
    ):
        yield f"stripe: the key may not read {row['resource']} (tried {row['checked_at']:%Y-%m-%d})"


def built_lines(warehouse: Warehouse) -> Iterator[str]:
    """Say what was built last, how far it is published, and what of it was restated."""
    internal, published = (f"{warehouse.schema_prefix}{name}" for name in ("kpi_internal", "kpi_metrics"))
    built = _one(
        warehouse,
        f"select max(report_date) as report_date, max(created_at) as built_at from {internal}.daily_engagement",  # noqa: S608 - a name of ours
    )
    if built is None:
        yield "last report: none yet; build it with: kpi build"
        return
    yield f"last report: {built['report_date']}, built {built['built_at'].astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    periods = []
    for grain in ("daily", "weekly", "monthly"):
        newest = _one(
            warehouse,
            f"select max(period_end_date) as last_date from {published}.{grain}_engagement",  # noqa: S608 - a name of ours
        )
        if newest:
            periods.append((grain, newest["last_date"]))
    told = ", ".join(f"{grain} to {last_date}" for grain, last_date in periods)
    yield f"last published period: {told or 'none yet'}"
    states = query(
        warehouse,
        f"select state, count(*) as cells from {internal}.metric_data group by state order by cells desc, state",  # noqa: S608 - a name of ours
    )
    counted = ", ".join(f"{row['cells']:,} {row['state']}" for row in states)
    yield f"metric_data: {counted or 'empty'}"
    restated = _one(
        warehouse,
        f"select count(*) as changes, max(changed_at) as last_at from {internal}.metric_restatements",  # noqa: S608 - a name of ours
    )
    if restated and restated["changes"]:
        yield f"restatements: {restated['changes']:,}, the last {restated['last_at'].astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _freshness(age: dt.timedelta, *, has_schedule: bool) -> str:
    hours = max(0, int(age.total_seconds() // 3600))
    told = f"{hours} h ago" if hours < 48 else f"{hours // 24} days ago"
    return f"stale, {told}" if has_schedule and age > STALE_AFTER else told


def _left_out(warehouse: Warehouse, source: _Source, load_id: str) -> str:
    """Count the quarantine of the last load, and of all of them where these are more."""
    table = str(source.quarantine)
    last = _rows_of_load(warehouse, source, (table,), load_id)
    [counted] = query(
        warehouse,
        f"select count(*) as lines from {warehouse.dataset(source.name)}.{table}",  # noqa: S608 - the names are ours
    ) or [{"lines": last}]
    return f"{last:,} of {counted['lines']:,}" if counted["lines"] > last else f"{last:,}"


def _rows_of_load(warehouse: Warehouse, source: _Source, tables: tuple[str, ...], load_id: str) -> int:
    return sum(
        row["loaded"]
        for table in tables
        for row in query(
            warehouse,
            f"select count(*) as loaded from {warehouse.dataset(source.name)}.{table} where _dlt_load_id = %s",  # noqa: S608 - the names are ours
            load_id,
        )
    )


def _one(warehouse: Warehouse, sql: str) -> dict[str, Any] | None:
    """The row of an aggregate; None where the table is not there or empty."""
    rows = query(warehouse, sql)
    return rows[0] if rows and any(value for value in rows[0].values()) else None
