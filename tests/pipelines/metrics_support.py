"""What metric_data is made from and what it says, read from a warehouse that was built."""

import math
from collections.abc import Iterator
from typing import Any

import duckdb
from privacy_support import LEADING
from reference.metrics import Cell, Key, Marts
from reference.periods import ADJECTIVES, GRAINS

LATE_DAYS = 7
_SUBJECTS = ("engagement", "advanced_metrics", "errors", "funnel")
_SERIOUS = """
select
    grain,
    start_date,
    count(*) filter (successes >= 2)
from (
    select grain, date_trunc(grain, event_date)::date as start_date, user_key, count(*) as successes
    from intermediate.int_tests cross join (select unnest(['day', 'week', 'month']) as grain)
    where is_successful and user_key is not null and event_date <= ?
    group by all
)
group by all
"""
"""The North Star, which no wide mart shows."""


_DISTURBANCE = """
insert into raw_pushed.metric_values by name
select
    metric_key,
    value::decimal(38, 9) as value,
    (report_date - age + hour * interval 1 hour)::timestamptz as measured_at,
    received_at,
    '' as source_file,
    1 as line_number,
    metric_key || age || hour as pushed_id,
    received_at as loaded_at,
    'one' as _dlt_load_id,
    metric_key || age || hour as _dlt_id
from (select max(report_date) as report_date from kpi_internal.daily_engagement)
cross join (values
    ('support_tickets', 3, 8, 2), ('support_tickets', 3, 20, 5), ('support_tickets', 20, 1, 4),
    ('social_followers', 9, 8, 70), ('social_followers', 9, 22, 60), ('net_promoter_score', 12, 3, 10),
    ('net_promoter_score', 12, 4, 15), ('longest_response_hours', 30, 1, 2.5), ('longest_response_hours', 30, 2, 1.5),
    ('not_in_the_catalogue', 15, 2, 9)
) as pushed (metric_key, age, hour, value)
cross join (select timestamptz '2026-01-01 00:00:00Z' as received_at);
insert into kpi_internal.scraped_figures by name
select report_date - age as figure_date, metric_key, state, value, 1 as observations, now() as created_at
from (select max(report_date) as report_date from kpi_internal.daily_engagement)
cross join (values
    ('github_stars', 1, 'broken', null), ('github_stars', 12, 'ok', 0), ('podcast_episodes', 13, 'blocked', null),
    ('podcast_episodes', 14, 'missing', null), ('podcast_episodes', 15, 'suspect', null), ('forks', 8, 'ok', 2.5)
) as figures (metric_key, age, state, value);
update intermediate.int_source_coverages
set covered_date = covered_date - case source_key when 'events' then 3 else 25 end, has_failed = source_key = 'stripe';
update intermediate.int_funnel_reports
set accounts_created = 0, accounts_with_tests = 0, conversion_rate = null
where dayofweek(period_start_date) = 2;
"""
"""Pushed values, pages that failed, a source that stopped, another that is refused, and days without anything to divide by."""


def disturb(connection: duckdb.DuckDBPyConnection) -> None:
    """Change a copy of a warehouse so that every state occurs."""
    connection.execute(_DISTURBANCE)
    for word in ADJECTIVES.values():
        connection.execute(
            f"update kpi_internal.{word}_funnel set accounts_created = 0, accounts_with_tests = 0,"
            " conversion_rate = null where dayofweek(period_start_date) = 2"
        )


def marts_of(connection: duckdb.DuckDBPyConnection) -> Marts:
    """Read what metric_data is made from; the reporting zone is UTC."""
    [(report_date,)] = connection.execute(
        "select max(report_date) from kpi_internal.daily_engagement"
    ).fetchall()
    [(first_date,)] = connection.execute(
        "select min(event_date) from intermediate.int_fate_days where fate = 'counted'"
    ).fetchall()
    covered = {
        source: (day, has_failed)
        for source, day, has_failed in connection.execute("from intermediate.int_source_coverages").fetchall()
    }
    events: dict[Any, dict[str, Any]] = {}
    columns = ["serious_active_users"]
    for subject in _SUBJECTS:
        for grain in GRAINS:
            for row in rows(
                connection,
                f"from kpi_internal.{ADJECTIVES[grain]}_{subject} where report_date = '{report_date}'",
            ):
                place = events.setdefault((grain, row["period_start_date"]), {"serious_active_users": 0})
                place |= {name: value for name, value in row.items() if name not in LEADING}
        columns += [name for name in row if name not in LEADING]
    for grain, start, users in connection.execute(_SERIOUS, [report_date]).fetchall():
        if (grain, start) in events:
            events[grain, start]["serious_active_users"] = users
    return Marts(
        catalogue=rows(connection, "from seeds.metrics"),
        report_date=report_date,
        first_date=first_date,
        late_days=LATE_DAYS,
        events_covered=covered["events"][0],
        stripe_covered=covered["stripe"][0],
        stripe_has_failed=covered["stripe"][1],
        events=events,
        event_columns=columns,
        invoices=rows(connection, "from kpi_internal.daily_invoices"),
        daily_mrr=rows(connection, "from kpi_internal.daily_mrr where policy_key = 'stripe'"),
        monthly_mrr=rows(connection, "from kpi_internal.monthly_mrr where policy_key = 'stripe'"),
        scraped=rows(connection, "from kpi_internal.scraped_figures"),
        pushed=[
            (row["metric_key"], row["measured_at"].date(), row["measured_at"], float(row["value"]))
            for row in rows(connection, "from staging.stg_pushed__metric_values")
        ],
    )


def metric_data_of(connection: duckdb.DuckDBPyConnection, query: str) -> dict[Key, Cell]:
    """Read the rows of metric_data by their key. Fails where two have the same."""
    found: dict[Key, Cell] = {}
    for row in rows(connection, query):
        key = row["metric_key"], row["grain"], row["period_start_date"], row["dimension"]
        assert key not in found, key
        found[key] = Cell(row["state"], row["value"], row["numerator"], row["denominator"])
    return found


def differences(found: dict[Key, Cell], expected: dict[Key, Cell | None]) -> Iterator[str]:
    """Name each cell that is there and should not be, or is not there and should, or says something else."""
    for key in sorted(found.keys() ^ expected.keys()):
        yield f"{key}: {'not expected' if key in found else 'not there'}"
    for key in sorted(found.keys() & expected.keys()):
        cell, wanted = found[key], expected[key]
        if wanted is not None and not _same(cell, wanted):
            yield f"{key}: {cell}, not {wanted}"


def _same(cell: Cell, wanted: Cell) -> bool:
    pairs = (
        (cell.value, wanted.value),
        (cell.numerator, wanted.numerator),
        (cell.denominator, wanted.denominator),
    )
    return cell.state == wanted.state and all(
        one is other is None
        or (one is not None and other is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9))
        for one, other in pairs
    )


def rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    """Read the rows of a query by the names of their columns."""
    found = connection.execute(query)
    names = [column[0] for column in found.description or []]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
