"""The one module that reads what a digest is made of: the catalogue, metric_data and metric_restatements."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipelines.digest.facts import Audience, Metric, Point
from pipelines.digest.making import Restated
from pipelines.errors import KpiError
from pipelines.sources.load import query
from pipelines.warehouse import Warehouse

_HISTORY_DAYS = 400
_SCHEMAS: dict[Audience, str] = {"internal": "kpi_internal", "published": "kpi_metrics"}
_METRICS = """
select
    metric_key,
    name,
    prefix,
    suffix,
    value_type,
    direction,
    owner,
    target,
    is_north_star,
    audience
from {seeds}.metrics
where in_digest
order by service_key, name, metric_key
"""
_POINTS = """
select
    metric_key,
    grain,
    dimension,
    period_start_date,
    period_end_date,
    value,
    state,
    computed_at
from {schema}.metric_data
where period_start_date >= %s and period_end_date < %s
"""
_RESTATEMENTS = """
select
    metric_key,
    grain,
    dimension,
    period_start_date,
    value_before,
    value_after,
    state_before,
    state_after,
    first_shown_at,
    changed_at
from {schema}.metric_restatements
where changed_at > %s
"""


@dataclass(frozen=True)
class Figures:
    """What the warehouse holds for one audience."""

    metrics: Sequence[Metric]
    points: Sequence[Point]
    restated: Sequence[Restated]
    currency_decimals: Mapping[str, int]
    figures_at: dt.datetime


def read_figures(warehouse: Warehouse, audience: Audience, date: dt.date, since: dt.datetime) -> Figures:
    """Read the figures of the periods that ended before a date, and what was restated after an instant.

    Published figures come from the published table alone: nothing exact is read for them, and they are never restated.
    Raises KpiError where there is no catalogue, no metric flagged for the digest, or no figure.
    """
    names = {"schema": f"{warehouse.schema_prefix}{_SCHEMAS[audience]}"}
    metrics = _catalogue(warehouse)
    oldest = date - dt.timedelta(days=_HISTORY_DAYS)
    rows = query(warehouse, _POINTS.format(**names), oldest, date)
    if not rows:
        table = f"{names['schema']}.metric_data"
        raise KpiError(
            f"{table} holds no figure of a period that ended before {date}.",
            "Build it first: kpi run."
            if audience == "internal"
            else "Nothing is released yet: a destination marked external gets published figures only.",
        )
    changes = query(warehouse, _RESTATEMENTS.format(**names), since) if audience == "internal" else []
    wanted = {metric.metric_key for metric in metrics}
    return Figures(
        metrics=metrics,
        points=[_point(row) for row in rows if row["metric_key"] in wanted],
        restated=[_restated(row) for row in changes if row["metric_key"] in wanted],
        currency_decimals=_currency_decimals(warehouse),
        figures_at=max(_instant(row["computed_at"]) for row in rows),
    )


def _currency_decimals(warehouse: Warehouse) -> dict[str, int]:
    rows = query(warehouse, f"select currency, exponent from {warehouse.schema_prefix}seeds.currencies")  # noqa: S608 - the name is ours
    return {row["currency"]: int(row["exponent"]) for row in rows}


def _catalogue(warehouse: Warehouse) -> list[Metric]:
    rows = query(warehouse, _METRICS.format(seeds=f"{warehouse.schema_prefix}seeds"))
    if not rows:
        raise KpiError(
            "The catalogue holds no metric for the digest, or nothing is built yet.",
            "Build it: kpi build. If that was done, set in_digest to true for some of seeds/metrics.csv first.",
        )
    return [_metric(row) for row in rows]


def _metric(row: dict[str, Any]) -> Metric:
    target = _decimal(row["target"])
    texts = {name: row[name] or "" for name in ("prefix", "suffix", "owner")}
    return Metric(
        metric_key=row["metric_key"],
        name=row["name"] or row["metric_key"],
        value_type=row["value_type"],
        direction=row["direction"] or "none",
        target=target,
        is_north_star=bool(row["is_north_star"]),
        # What does not say that it may leave the company does not.
        audience="published" if row["audience"] == "published" else "internal",
        **texts,
    )


def _point(row: dict[str, Any]) -> Point:
    has_value = row["state"] in {"final", "provisional"}
    value = _decimal(row["value"]) if has_value else None
    return Point(
        metric_key=row["metric_key"],
        grain=row["grain"],
        dimension=row["dimension"] or "",
        start=row["period_start_date"],
        end=row["period_end_date"],
        value=value,
        # A value that is none (NaN, infinite) is never shown as one.
        state="broken" if has_value and value is None else row["state"],
    )


def _restated(row: dict[str, Any]) -> Restated:
    return Restated(
        metric_key=row["metric_key"],
        grain=row["grain"],
        dimension=row["dimension"] or "",
        start=row["period_start_date"],
        before=_decimal(row["value_before"]),
        after=_decimal(row["value_after"]),
        state_before=row["state_before"],
        state_after=row["state_after"],
        first_shown_at=_instant(row["first_shown_at"]),
        changed_at=_instant(row["changed_at"]),
    )


def _decimal(value: Any) -> Decimal | None:
    """Give a finite number as a decimal: of a double, the shortest that stands for it."""
    number = None if value is None else Decimal(str(value))
    return number if number is not None and number.is_finite() else None


def _instant(value: dt.datetime) -> dt.datetime:
    return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
