"""Where a figure comes from: its definition, formula, value, the marts and loads behind it, and what it was before."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines.errors import SettingError
from pipelines.sources.load import query
from pipelines.warehouse import PROJECT_ROOT, Warehouse

_ADVERBS = {"day": "daily", "week": "weekly", "month": "monthly"}
_MODELS = PROJECT_ROOT / "models"
_EVENT_SUBJECTS = ("engagement", "advanced_metrics", "errors", "funnel")
_NOT_PUBLISHED = {
    "withheld": "withheld for privacy: too few people stand behind it",
    "undefined": "undefined: there is nothing to divide by, or to compare with",
    "missing": "missing: nothing was read for it",
    "broken": "broken: its source failed",
}
_MONEY = ("daily_invoices", "daily_mrr", "monthly_mrr")


def explanation(warehouse: Warehouse, metric_key: str, date: dt.date | None, grain: str) -> Iterator[str]:
    """Yield lines that explain the metric's figure of the period that holds `date` (default: the newest report's).

    Raises SettingError for a metric that is not in the catalogue, and for a date before the first or after the last
    period that it has.
    """
    metric = _metric(warehouse, metric_key)
    yield f"{metric['name']} ({metric_key})"
    yield f"  {metric['description']}"
    traits = (
        f"north star: {'yes' if metric['is_north_star'] else 'no'}",
        f"kind: {metric['value_type']}",
        f"good is: {metric['direction']}",
        f"audience: {metric['audience']}",
        *([f"target: {metric['target']:g}"] if metric["target"] is not None else []),
        *([f"owner: {metric['owner']}"] if metric["owner"] else []),
    )
    yield f"  {', '.join(traits)}"
    source, models, formula = _behind(metric, grain)
    if formula:
        yield f"formula: {formula}"
    cells = _cells(warehouse, metric_key, date, grain)
    currencies = query(warehouse, f"select currency, exponent from {warehouse.schema_prefix}seeds.currencies")  # noqa: S608 - a name of ours
    decimals = {row["currency"]: int(row["exponent"]) for row in currencies}
    for cell in cells:
        yield from _value_lines(metric, cell, decimals.get(cell["dimension"], 2))
    yield from _published(warehouse, metric, cells[0])
    yield f"marts: {', '.join(models)}"
    yield from _loads(warehouse, source, metric_key, cells[0])
    yield from _restatements(warehouse, metric, cells)


def _metric(warehouse: Warehouse, metric_key: str) -> dict[str, Any]:
    metrics = query(warehouse, f"select * from {warehouse.schema_prefix}seeds.metrics order by metric_key")  # noqa: S608 - a name of ours
    if not metrics:
        raise SettingError("Nothing is built yet, so that nothing can be explained.", "Build it: kpi build")
    found = [metric for metric in metrics if metric["metric_key"] == metric_key]
    if not found:
        known = ", ".join(metric["metric_key"] for metric in metrics)
        raise SettingError(f"'{metric_key}' is not in the catalogue (metrics.csv).", f"There are: {known}.")
    return found[0]


def _behind(metric: dict[str, Any], grain: str) -> tuple[str, list[str], str]:
    """Tell source, models and formula from the models' own descriptions."""
    key = str(metric["metric_key"])
    for subject in _EVENT_SUBJECTS:
        column = _column(f"intermediate/int_{subject}_reports.yml", key)
        if column:
            mart = f"{_ADVERBS[grain]}_{subject}"
            has_it = _column(f"marts/internal/{mart}.yml", key) is not None
            shown = f"kpi_internal.{mart}" if has_it else f"intermediate.int_{subject}_reports"
            return "events", [shown, "kpi_internal.metric_data"], _formula(column)
    for mart in _MONEY:
        column = _column(f"marts/internal/{mart}.yml", key) or _column(
            f"marts/internal/{mart}.yml", key.replace("_mrr_amount", "_amount")
        )
        if column:
            return "stripe", [f"kpi_internal.{mart}", "kpi_internal.metric_data"], _formula(column)
    if metric["daily_aggregation"]:
        formula = f"{metric['daily_aggregation']} of the values pushed for the day"
        return "pushed", ["staging.stg_pushed__metric_values", "kpi_internal.metric_data"], formula
    return (
        "scraped",
        ["kpi_internal.scraped_figures", "kpi_internal.metric_data"],
        "the last value read on the day",
    )


def _column(path: str, name: str) -> dict[str, Any] | None:
    file = Path(_MODELS / path)
    if not file.is_file():
        return None
    [model] = yaml.safe_load(file.read_text(encoding="utf-8"))["models"]
    found = [column for column in model["columns"] if column["name"] == name]
    return found[0] if found else None


def _formula(column: dict[str, Any]) -> str:
    made_from = column.get("config", {}).get("meta", {})
    said = " ".join(str(column["description"]).split())
    if not made_from:
        return said
    return f"{said} (numerator: {made_from['numerator']}, denominator: {made_from['denominator']})"


def _cells(warehouse: Warehouse, metric_key: str, date: dt.date | None, grain: str) -> list[dict[str, Any]]:
    table = f"{warehouse.schema_prefix}kpi_internal.metric_data"
    bounds = query(
        warehouse,
        f"select min(period_start_date) as first_date, max(period_end_date) as last_date,"  # noqa: S608 - a name of ours
        f" max(period_start_date) as newest_date from {table} where metric_key = %s and grain = %s",
        metric_key,
        grain,
    )
    if not bounds or bounds[0]["first_date"] is None:
        rows = query(
            warehouse,
            f"select distinct grain from {table} where metric_key = %s order by grain",  # noqa: S608 - a name of ours
            metric_key,
        )
        grains = " or ".join(row["grain"] for row in rows)
        raise SettingError(
            f"'{metric_key}' has no figures by {grain}.",
            f"Ask for --grain {grains}." if grains else "Build it: kpi build",
        )
    asked = date or bounds[0]["newest_date"]
    cells = query(
        warehouse,
        f"select * from {table} where metric_key = %s and grain = %s"  # noqa: S608 - a name of ours
        " and period_start_date <= %s and period_end_date >= %s order by dimension",
        metric_key,
        grain,
        asked,
        asked,
    )
    if not cells:
        raise SettingError(
            f"{asked} lies outside what is known of '{metric_key}'.",
            f"Ask for a date from {bounds[0]['first_date']} to {bounds[0]['last_date']}.",
        )
    return cells


def _value_lines(metric: dict[str, Any], cell: dict[str, Any], decimals: int) -> Iterator[str]:
    period = (
        str(cell["period_start_date"])
        if cell["period_start_date"] == cell["period_end_date"]
        else f"{cell['period_start_date']} to {cell['period_end_date']}"
    )
    name = f"{cell['grain']} {period}{', ' + cell['dimension'].upper() if cell['dimension'] else ''}"
    yield f"{name}: {_shown(metric, cell['value'], decimals)} ({cell['state']})"
    if cell["denominator"] is not None:
        yield f"  numerator {cell['numerator']:,g}, denominator {cell['denominator']:,g}"


def _published(warehouse: Warehouse, metric: dict[str, Any], cell: dict[str, Any]) -> Iterator[str]:
    """Say what everybody may know of the same period, where the metric is published at all."""
    if metric["audience"] != "published":
        return
    rows = query(
        warehouse,
        f"select value, state, computed_at from {warehouse.schema_prefix}kpi_metrics.metric_data"  # noqa: S608 - a name of ours
        " where metric_key = %s and grain = %s and period_start_date = %s",
        metric["metric_key"],
        cell["grain"],
        cell["period_start_date"],
    )
    if not rows:
        yield "published: not released yet"
    for row in rows:
        if row["state"] != "final":
            yield f"published: no value, {_NOT_PUBLISHED[row['state']]}"
            continue
        released = f"{row['computed_at'].astimezone(dt.UTC):%Y-%m-%d}"
        yield f"published: {_shown(metric, row['value'])} (since {released})"


def _loads(warehouse: Warehouse, source: str, metric_key: str, cell: dict[str, Any]) -> Iterator[str]:
    bounds = (cell["period_start_date"], cell["period_end_date"])
    raw = warehouse.dataset(source)
    if source == "events":
        rows = query(
            warehouse,
            "select arrivals.load_id, count(*) as lines, max(loads.inserted_at) as loaded_at"  # noqa: S608 - the names are ours
            f" from {warehouse.schema_prefix}intermediate.int_event_arrivals as arrivals"
            f" left join {raw}._dlt_loads as loads on arrivals.load_id = loads.load_id"
            " where arrivals.event_date between %s and %s group by arrivals.load_id order by loaded_at",
            *bounds,
        )
        what = "event lines"
    elif source == "stripe":
        rows = query(
            warehouse,
            f"select _dlt_load_id as load_id, count(*) as lines, max(requested_at) as loaded_at from {raw}.invoices"  # noqa: S608 - a name of ours
            " group by _dlt_load_id order by loaded_at",
        )
        what = "invoices"
    else:
        table, instant = (
            ("metric_values", "measured_at") if source == "pushed" else ("observations", "observed_at")
        )
        rows = query(
            warehouse,
            f"select _dlt_load_id as load_id, count(*) as lines, max(loaded_at) as loaded_at from {raw}.{table}"  # noqa: S608 - the names are ours
            f" where metric_key = %s and cast({instant} as date) between %s and %s"
            " group by _dlt_load_id order by loaded_at",
            metric_key,
            *bounds,
        )
        what = "values" if source == "pushed" else "looks at the page"
    if not rows:
        yield f"loads: none of {source} for this period"
        return
    yield f"loads: {len(rows):,} of {source}, {sum(row['lines'] for row in rows):,} {what}; the last ones:"
    for row in rows[-3:]:
        loaded = (
            f"{row['loaded_at'].astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
            if row["loaded_at"]
            else "not completed"
        )
        yield f"  {row['load_id']}: {row['lines']:,} {what}, {loaded}"


def _restatements(warehouse: Warehouse, metric: dict[str, Any], cells: list[dict[str, Any]]) -> Iterator[str]:
    rows = query(
        warehouse,
        f"select * from {warehouse.schema_prefix}kpi_internal.metric_restatements"  # noqa: S608 - a name of ours
        " where metric_key = %s and grain = %s and period_start_date = %s order by changed_at, dimension",
        metric["metric_key"],
        cells[0]["grain"],
        cells[0]["period_start_date"],
    )
    yield f"restatements: {len(rows) or 'none'}"
    for row in rows:
        before = f"{_shown(metric, row['value_before'])} ({row['state_before']})"
        after = f"{_shown(metric, row['value_after'])} ({row['state_after']})"
        of = f" {row['dimension'].upper()}" if row["dimension"] else ""
        yield f"  {row['changed_at'].astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC:{of} {before} became {after}"


def _shown(metric: dict[str, Any], value: float | None, decimals: int = 2) -> str:
    if value is None:
        return "no value"
    number = f"{value:,.0f}" if value == int(value) else f"{value:,.{decimals}f}"
    return f"{metric['prefix'] or ''}{number}{metric['suffix'] or ''}"
