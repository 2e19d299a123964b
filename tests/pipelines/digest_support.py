"""A warehouse with nothing in it but the tables that a digest reads, filled by hand."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pipelines.privacy.periods import period_end

MONDAY = dt.date(2026, 11, 23)
BUILT_AT = dt.datetime(2026, 11, 23, 5, 10, tzinfo=dt.UTC)
_TABLES = """
create schema if not exists seeds;
create schema if not exists kpi_internal;
create schema if not exists kpi_metrics;
create or replace table seeds.currencies (currency varchar, exponent bigint, name varchar);
insert into seeds.currencies values ('eur', 2, 'Euro'), ('jpy', 0, 'Yen');
create or replace table seeds.metrics (
    metric_key varchar, name varchar, description varchar, service_key varchar, prefix varchar, suffix varchar,
    value_type varchar, daily_aggregation varchar, direction varchar, owner varchar, target double,
    is_north_star boolean, audience varchar, in_digest boolean
);
"""
_FIGURES = """
create or replace table {schema}.metric_data (
    metric_key varchar, grain varchar, period_start_date date, period_end_date date, dimension varchar,
    value double, numerator double, denominator double, state varchar, computed_at timestamptz
);
"""
_RESTATEMENTS = """
create or replace table kpi_internal.metric_restatements (
    metric_key varchar, grain varchar, period_start_date date, dimension varchar, value_before double,
    value_after double, state_before varchar, state_after varchar, first_shown_at timestamptz,
    changed_at timestamptz
);
"""


@dataclass
class Figures:
    """What is written into the warehouse."""

    metrics: list[dict[str, Any]] = field(default_factory=list)
    internal: list[tuple[Any, ...]] = field(default_factory=list)
    published: list[tuple[Any, ...]] = field(default_factory=list)
    restatements: list[tuple[Any, ...]] = field(default_factory=list)

    def metric(self, key: str, **fields: Any) -> None:
        """Add a metric to the catalogue; in the digest, published and good when it rises unless said otherwise."""
        self.metrics.append(
            {
                "metric_key": key,
                "name": key.replace("_", " ").capitalize(),
                "description": f"What {key} counts.",
                "service_key": "product",
                "prefix": None,
                "suffix": None,
                "value_type": "count",
                "daily_aggregation": None,
                "direction": "up",
                "owner": None,
                "target": None,
                "is_north_star": False,
                "audience": "published",
                "in_digest": True,
                **fields,
            }
        )

    def week(
        self, key: str, start: str, value: float | None, state: str = "final", dimension: str = ""
    ) -> None:
        """Add an internal figure of the week that begins on a day."""
        self._add(self.internal, "week", key, start, value, state, dimension)

    def day(
        self, key: str, start: str, value: float | None, state: str = "final", dimension: str = ""
    ) -> None:
        """Add an internal figure of a day."""
        self._add(self.internal, "day", key, start, value, state, dimension)

    def month(self, key: str, start: str, value: float | None, state: str = "final") -> None:
        """Add an internal figure of the month that begins on a day."""
        self._add(self.internal, "month", key, start, value, state, "")

    def published_week(self, key: str, start: str, value: float | None, state: str = "final") -> None:
        """Add a published figure of the week that begins on a day."""
        self._add(self.published, "week", key, start, value, state, "")

    def weeks(self, key: str, *values: float | None, last: str = "2026-11-09", dimension: str = "") -> None:
        """Add final figures of consecutive weeks, the last of which begins on a day; None is missing."""
        end = dt.date.fromisoformat(last)
        for age, value in enumerate(reversed(values)):
            start = (end - dt.timedelta(weeks=age)).isoformat()
            self.week(key, start, value, "missing" if value is None else "final", dimension)

    def restated(
        self,
        key: str,
        start: str,
        before: float | None,
        after: float | None,
        *,
        grain: str = "week",
        states: tuple[str, str] = ("final", "final"),
        shown: str = "2026-11-09T05:00Z",
        changed: str = "2026-11-20T05:00Z",
    ) -> None:
        """Add a restatement: shown first, and changed, at these instants."""
        instants = (dt.datetime.fromisoformat(shown), dt.datetime.fromisoformat(changed))
        first = dt.date.fromisoformat(start)
        self.restatements.append((key, grain, first, "", before, after, *states, *instants))

    @staticmethod
    def _add(
        rows: list[tuple[Any, ...]],
        grain: str,
        key: str,
        start: str,
        value: float | None,
        state: str,
        dimension: str,
    ) -> None:
        first = dt.date.fromisoformat(start)
        last = period_end(grain, first)
        rows.append((key, grain, first, last, dimension, value, None, None, state, BUILT_AT))

    def write(self, file: Path) -> None:
        """Write everything, in place of what was there."""
        with duckdb.connect(str(file)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            connection.execute(_TABLES)
            for schema in ("kpi_internal", "kpi_metrics"):
                connection.execute(_FIGURES.format(schema=schema))
            connection.execute(_RESTATEMENTS)
            self._insert(connection, "seeds.metrics", [tuple(row.values()) for row in self.metrics])
            self._insert(connection, "kpi_internal.metric_data", self.internal)
            self._insert(connection, "kpi_metrics.metric_data", self.published)
            self._insert(connection, "kpi_internal.metric_restatements", self.restatements)

    @staticmethod
    def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"insert into {table} values ({marks})", rows)


def company() -> Figures:
    """A small company on a Monday: a North Star, a percentage, money, a gap, something broken, a restatement."""
    figures = Figures()
    figures.metric("serious_users", is_north_star=True, name="Serious active users", target=500)
    figures.weeks("serious_users", 310, 322, 330, 351, 348, 360, 377, 371, 390, 398, 412, 405)
    figures.week("serious_users", "2026-11-16", 421, "provisional")
    figures.metric("success_rate", value_type="ratio", suffix="%", name="Sessions that succeeded")
    figures.weeks("success_rate", 88.1, 88.4, 89.0, 88.22, 89.0, 89.46)
    figures.metric("failed_tests", direction="down", name="Failed tests")
    figures.weeks("failed_tests", 900, 950, 1010, 980, 1144, 1312)
    figures.metric("paid_amount", value_type="amount", audience="internal", name="Paid", service_key="z")
    figures.weeks("paid_amount", 800.5, 1125.48, 795.15, dimension="eur")
    figures.weeks("paid_amount", 3000, 12671, 20800, dimension="jpy")
    figures.metric("stars", value_type="gauge", name="GitHub stars", service_key="z")
    for day, value in (("2026-11-06", 400), ("2026-11-08", 404), ("2026-11-20", 412), ("2026-11-21", 415)):
        figures.day("stars", day, value)
    figures.day("stars", "2026-11-22", None, "broken")
    figures.metric("never_loaded", name="Podcast downloads", service_key="z")
    figures.metric("not_flagged", in_digest=False)
    figures.weeks("not_flagged", 1, 2, 3)
    figures.restated("serious_users", "2026-11-02", 418, 412)
    for start, value in (("2026-10-26", 400), ("2026-11-09", 410)):
        figures.published_week("serious_users", start, value)
    return figures
