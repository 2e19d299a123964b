"""Today's figures as a table for the terminal, from the marts as they stand."""

import datetime as dt
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from rich.table import Table

from pipelines.sources.load import query
from pipelines.warehouse import Warehouse

_FIGURES = (
    ("Active users", "engagement", "active_users", "{:,.0f}"),
    ("Tests", "engagement", "all_tests", "{:,.0f}"),
    ("Successful tests per user", "engagement", "avg_tests_per_active_user", "{:.2f}"),
    ("Users to date", "engagement", "total_users_to_date", "{:,.0f}"),
    ("Sessions", "advanced_metrics", "total_sessions", "{:,.0f}"),
    ("Sessions that succeeded", "advanced_metrics", "adjusted_success_rate", "{:.1f} %"),
    ("… at the first try", "advanced_metrics", "first_try_success_rate", "{:.1f} %"),
    ("Failed tests", "errors", "total_errors", "{:,.0f}"),
    ("Accounts created", "funnel", "accounts_created", "{:,.0f}"),
    ("… that have tested", "funnel", "conversion_rate", "{:.1f} %"),
)
_PERIODS = (("daily", 0), ("daily", 1), ("weekly", 0), ("weekly", 1), ("monthly", 0), ("monthly", 1))


def figures_table(warehouse: Warehouse) -> Table:
    """Make the table of the newest report: the running and the last day, week and month."""
    reports: dict[tuple[str, str], list[dict[str, Any]]] = {
        (grain, subject): _newest_report(warehouse, f"{grain}_{subject}")
        for grain in ("daily", "weekly", "monthly")
        for subject in ("engagement", "advanced_metrics", "errors", "funnel")
    }
    table = Table(title=f"Key figures of {_report_date(reports)} ({warehouse.reporting_timezone})")
    table.add_column("", no_wrap=True)
    for grain, age in _PERIODS:
        label = _cell(reports[grain, "engagement"], age, "period_label", "{}")
        table.add_column(label.replace(" (", "\n("), justify="right", no_wrap=True)
    for name, subject, column, form in _FIGURES:
        table.add_row(name, *(_cell(reports[grain, subject], age, column, form) for grain, age in _PERIODS))
    periods = [
        (rows[age]["period_start_date"], rows[age]["period_end_date"])
        for grain, age in _PERIODS
        if age < len(rows := reports[grain, "engagement"])
    ]
    for name, cells in (*_paid(warehouse, periods), *_mrr(warehouse, periods)):
        table.add_row(name, *cells)
    return table


def scraped_lines(warehouse: Warehouse) -> list[str]:
    """Say each scraped figure's newest value, or why there is none."""
    rows = _rows(
        warehouse,
        "select metric_key, figure_date, state, value, reason from {schema}.scraped_figures as figures"
        " where figure_date = (select max(figure_date) from {schema}.scraped_figures as newer"
        " where newer.metric_key = figures.metric_key) order by metric_key",
    )
    return [
        f"{row['metric_key']}: {row['value'].normalize():,f} ({row['figure_date']})"
        if row["value"] is not None
        else f"{row['metric_key']}: {row['state']}, {row['reason']} ({row['figure_date']})"
        for row in rows
    ]


def fates_line(warehouse: Warehouse) -> str:
    """Say in one line what became of every event line ever loaded."""
    rows = _rows(
        warehouse,
        "select fate, sum(lines) as lines from {schema}.event_fates group by fate order by lines desc, fate",
    )
    return ", ".join(f"{row['lines']:,.0f} {row['fate']}" for row in rows) or "none yet"


def unplanned(warehouse: Warehouse) -> list[str]:
    """Name what the data hold and the plan (the seeds) does not: event keys, and error codes counted in no column."""
    keys = _rows(
        warehouse,
        "select fates.event_key, min(fates.event_date) as first_seen"
        " from {days}.int_fate_days as fates left join {seeds}.event_roles as planned"
        " on fates.event_key = planned.event_key"
        " where planned.event_key is null and fates.event_key is not null"
        " group by fates.event_key order by fates.event_key",
    )
    codes = _rows(
        warehouse,
        "select errors.error_code, min(errors.period_start_date) as first_seen"
        " from {schema}.errors_by_type as errors left join {seeds}.error_types as planned"
        " on errors.error_code = planned.error_code"
        " where errors.grain = 'day' and planned.error_code is null and errors.error_code != '(none)'"
        " group by errors.error_code order by errors.error_code",
    )
    return [
        *(
            f"The event key '{row['event_key']}' (since {row['first_seen']}) is not planned: add it to event_roles.csv."
            for row in keys
        ),
        *(
            f"The error code '{row['error_code']}' (since {row['first_seen']}) has no column: add it to error_types.csv."
            for row in codes
        ),
    ]


Rows = Iterator[tuple[str, list[str]]]


def _paid(warehouse: Warehouse, periods: list[tuple[dt.date, dt.date]]) -> Rows:
    """Sum what was paid in each period, currency by currency; currencies are never added."""
    days = _by_currency(
        warehouse, "select invoice_date as day, currency, paid_amount as amount", "daily_invoices"
    )
    for currency, form, amounts in days:
        sums = [
            [amount for day, amount in amounts.items() if first <= day <= last and amount is not None]
            for first, last in periods
        ]
        yield (
            f"Paid, {currency}",
            [form.format(_rounded(sum(found), form)) if found else "-" for found in sums],
        )


def _mrr(warehouse: Warehouse, periods: list[tuple[dt.date, dt.date]]) -> Rows:
    """Give the monthly recurring revenue at the end of each period, or now where it is not over."""
    days = _by_currency(
        warehouse,
        "select mrr_date as day, currency, mrr_amount as amount",
        "daily_mrr",
        " where policy_key = 'stripe'",
    )
    for currency, form, amounts in days:
        ends = [[day for day in amounts if first <= day <= last] for first, last in periods]
        yield (
            f"MRR, {currency}",
            [form.format(_rounded(amounts[max(found)], form)) if found else "-" for found in ends],
        )


def _by_currency(
    warehouse: Warehouse, columns: str, mart: str, condition: str = ""
) -> Iterator[tuple[str, str, dict[dt.date, Decimal]]]:
    """Yield each currency, the form of its amounts (with as many decimals as it has) and the amount of each day."""
    rows = _rows(warehouse, f"{columns} from {{schema}}.{mart}{condition} order by currency")
    exponents = {
        row["currency"]: row["exponent"]
        for row in _rows(warehouse, "select currency, exponent from {seeds}.currencies")
    }
    for currency in sorted({row["currency"] for row in rows}):
        form = f"{{:,.{exponents.get(currency, 2)}f}}"
        yield (
            currency.upper(),
            form,
            {row["day"]: row["amount"] for row in rows if row["currency"] == currency},
        )


def _rounded(amount: Decimal | int, form: str) -> Decimal:
    """Round half up to the decimals that the form shows."""
    return Decimal(amount).quantize(Decimal(form.format(0)), ROUND_HALF_UP)


def _report_date(reports: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    rows = reports["daily", "engagement"]
    return str(rows[0]["report_date"]) if rows else "no day yet"


def _newest_report(warehouse: Warehouse, mart: str) -> list[dict[str, Any]]:
    return _rows(
        warehouse,
        f"select * from {{schema}}.{mart}"  # noqa: S608 - the names are ours
        f" where report_date = (select max(report_date) from {{schema}}.{mart})"
        " order by period_start_date desc",
    )


def _rows(warehouse: Warehouse, sql: str) -> list[dict[str, Any]]:
    prefix = warehouse.schema_prefix
    schemas = {"schema": "kpi_internal", "days": "intermediate", "seeds": "seeds"}
    return query(warehouse, sql.format(**{name: prefix + schema for name, schema in schemas.items()}))


def _cell(rows: list[dict[str, Any]], age: int, column: str, form: str) -> str:
    if age >= len(rows) or rows[age][column] is None:
        return "-"
    value = rows[age][column]
    return form.format(float(value) if isinstance(value, Decimal) else value)
