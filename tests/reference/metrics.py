"""metric_data a second time: marts unpivoted cell by cell, with a state for each period of each metric of the catalogue."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Any

from reference.periods import GRAINS, Grain, Period, period_of

Row = Mapping[str, Any]
Key = tuple[str, str, date, str]
"""metric_key, grain, first day, dimension"""

RATIOS = {
    "active_percentage": ("active_users", "total_active_users_to_date"),
    "avg_tests_per_active_user": ("successful_tests", "active_users"),
    "adjusted_success_rate": ("successful_sessions", "total_sessions"),
    "first_try_success_rate": ("first_try_successes", "total_sessions"),
    "second_try_success_rate": ("second_try_successes", "total_sessions"),
    "third_plus_try_success_rate": ("third_plus_try_successes", "total_sessions"),
    "conversion_rate": ("accounts_with_tests", "accounts_created"),
}
INVOICE_COUNTS = ("invoices_finalized", "invoices_left", "invoices_paid")
INVOICE_AMOUNTS = ("invoiced_amount", "paid_amount")
LEVELS = ("mrr_amount", "arr_amount", "paying_customers")
MOVEMENTS = ("new", "expansion", "contraction", "churned", "reactivated")


@dataclass(frozen=True)
class Cell:
    """One row of metric_data, as far as the period does not say it."""

    state: str
    value: float | None = None
    numerator: float | None = None
    denominator: float | None = None


@dataclass
class Marts:
    """What metric_data is made from."""

    catalogue: Sequence[Row]
    report_date: date
    first_date: date
    late_days: int
    events_covered: date | None
    stripe_covered: date | None
    stripe_has_failed: bool
    events: Mapping[tuple[Grain, date], Row]
    """The columns of all event marts by grain and first day, for the periods that they show."""
    event_columns: Sequence[str]
    invoices: Sequence[Row]
    daily_mrr: Sequence[Row]
    monthly_mrr: Sequence[Row]
    scraped: Sequence[Row]
    pushed: Sequence[tuple[str, date, datetime, float]]
    """metric_key, local day, instant, value"""
    _cells: dict[Key, Cell] = field(default_factory=dict)

    def metric_data(self) -> dict[Key, Cell | None]:
        """Make every row; None for a figure of events in a period that the marts do not show."""
        found: dict[Key, Cell | None] = {}
        for grain, period in self._periods():
            for key, cell in self._of_events(grain, period):
                found[key, grain, period.start, ""] = cell
            for key, dimension, cell in self._of_money(grain, period):
                found[key, grain, period.start, dimension] = cell
            if grain == "day":
                for key, cell in [*self._of_pages(period), *self._pushed(period)]:
                    found[key, grain, period.start, ""] = cell
        told = {key for key, *_ in found}
        for metric in self.catalogue:
            if metric["metric_key"] not in told:
                for grain, period in self._periods():
                    if grain == "day" or metric["value_type"] == "amount":
                        found[metric["metric_key"], grain, period.start, ""] = Cell("missing")
        return found

    def _periods(self) -> Iterator[tuple[Grain, Period]]:
        """Every period of each grain, from that of the first event to that of the newest report."""
        for grain in GRAINS:
            day = self.first_date
            while (period := period_of(grain, day)).start <= self.report_date:
                yield grain, period
                day = period.end + timedelta(days=1)

    def _shown(
        self, period: Period, value: Any, covered: date | None, parts: tuple[Any, Any] | None = None
    ) -> Cell:
        """Judge a figure that is known of a period which its source covers at least in part."""
        numerator, denominator = (float(part) for part in parts) if parts else (None, None)
        if value is None:
            return Cell("undefined", None, numerator, denominator)
        is_whole = covered is None or covered > period.end
        is_late = self.report_date > period.end + timedelta(days=self.late_days)
        state = "final" if is_whole and is_late else "provisional"
        return Cell(state, float(value), numerator, denominator)

    def _of_events(self, grain: Grain, period: Period) -> Iterator[tuple[str, Cell | None]]:
        row = self.events.get((grain, period.start))
        for column in self.event_columns:
            if self.events_covered is None or self.events_covered < period.start:
                yield column, Cell("missing")
            elif row is None:
                yield column, None
            else:
                parts = tuple(row[part] for part in RATIOS[column]) if column in RATIOS else None
                value = row[column]
                if parts:
                    scale = 1 if column == "avg_tests_per_active_user" else 100
                    value = Fraction(scale * parts[0], parts[1]) if parts[1] else None
                yield column, self._shown(period, value, self.events_covered, parts)

    def _of_money(self, grain: Grain, period: Period) -> Iterator[tuple[str, str, Cell]]:
        currencies = sorted({row["currency"] for row in [*self.invoices, *self.daily_mrr]})
        totals = dict.fromkeys(INVOICE_COUNTS, 0)
        for currency in currencies:
            days = [
                row
                for row in self.invoices
                if row["currency"] == currency
                and row["invoice_date"] in period
                # The newest period ends with the report.
                and row["invoice_date"] <= self.report_date
            ]
            for column in INVOICE_COUNTS:
                totals[column] += sum(row[column] for row in days)
            for column in INVOICE_AMOUNTS:
                yield column, currency, self._money(period, sum(row[column] for row in days))
            for column, value, parts in self._of_subscriptions(grain, period, currency):
                yield column, currency, self._money(period, value, parts)
        for column, total in totals.items() if currencies else ():
            yield column, "", self._money(period, total)

    def _of_subscriptions(
        self, grain: Grain, period: Period, currency: str
    ) -> Iterator[tuple[str, Any, tuple[Any, Any] | None]]:
        if self.stripe_covered is None:
            return
        last_day = min(period.end, self.report_date, self.stripe_covered)
        level = _find(self.daily_mrr, mrr_date=last_day, currency=currency)
        for column in LEVELS:
            yield column, level.get(column, 0), None
        if grain == "week":
            return
        month = _find(self.monthly_mrr, month_start_date=period.start, currency=currency)
        moved = _find(self.daily_mrr, mrr_date=period.start, currency=currency) if grain == "day" else month
        for movement in MOVEMENTS:
            yield f"{movement}_mrr_amount", moved.get(f"{movement}_amount", 0), None
        if grain == "month":
            lost, before = month.get("churned_customers", 0), month.get("opening_customers", 0)
            yield "logo_churn_percentage", Fraction(100 * lost, before) if before else None, (lost, before)
            opening = month.get("opening_amount", 0)
            kept = opening + sum(
                month.get(f"{movement}_amount", 0) for movement in ("expansion", "contraction", "churned")
            )
            share = Fraction(100 * kept) / Fraction(opening) if opening else None
            yield "net_revenue_retention_percentage", share, (kept, opening)

    def _money(self, period: Period, value: Any, parts: tuple[Any, Any] | None = None) -> Cell:
        if self.stripe_covered is None or self.stripe_covered < period.start:
            return Cell("broken" if self.stripe_has_failed else "missing")
        return self._shown(period, value, self.stripe_covered, parts)

    def _of_pages(self, period: Period) -> Iterator[tuple[str, Cell]]:
        for key in sorted({row["metric_key"] for row in self.scraped}):
            row = _find(self.scraped, metric_key=key, figure_date=period.start)
            if row.get("state", "missing") == "missing":
                yield key, Cell("missing")
            elif row["state"] != "ok":
                yield key, Cell("broken")
            else:
                yield key, self._shown(period, row["value"], None)

    def _pushed(self, period: Period) -> Iterator[tuple[str, Cell]]:
        ways = {metric["metric_key"]: metric["daily_aggregation"] for metric in self.catalogue}
        values: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
        for key, day, instant, value in self.pushed:
            values[key] += [(instant, value)] if day == period.start else []
        for key, of_the_day in values.items():
            numbers = [value for _, value in sorted(of_the_day)]
            if not numbers:
                yield key, Cell("missing")
                continue
            joined = {
                "avg": sum(numbers) / len(numbers),
                "sum": sum(numbers),
                "min": min(numbers),
                "max": max(numbers),
            }
            yield key, self._shown(period, joined.get(ways.get(key) or "", numbers[-1]), None)


def _find(rows: Sequence[Row], **wanted: Any) -> Row:
    """Give the row with these values; an empty one where there is none."""
    return next((row for row in rows if all(row[name] == value for name, value in wanted.items())), {})
