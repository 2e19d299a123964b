"""Days, ISO weeks and calendar months: the trailing periods of a report and what they are called."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

Grain = Literal["day", "week", "month"]
GRAINS: tuple[Grain, ...] = ("day", "week", "month")
ADJECTIVES = {"day": "daily", "week": "weekly", "month": "monthly"}

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Period:
    """First and last day, both inclusive."""

    start: date
    end: date

    def __contains__(self, day: date) -> bool:
        return self.start <= day <= self.end


def period_of(grain: Grain, day: date) -> Period:
    """Give the period that a day belongs to."""
    if grain == "day":
        return Period(day, day)
    if grain == "week":
        monday = day - timedelta(days=day.isoweekday() - 1)
        return Period(monday, monday + timedelta(days=6))
    first = day.replace(day=1)
    return Period(first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1))


def period_before(grain: Grain, period: Period) -> Period:
    """Give the period that ends on the eve of this one."""
    return period_of(grain, period.start - timedelta(days=1))


def trailing(grain: Grain, report_date: date, count: int) -> list[Period]:
    """Give the last `count` periods, oldest first; the last holds `report_date`."""
    periods = [period_of(grain, report_date)]
    while len(periods) < count:
        periods.insert(0, period_before(grain, periods[0]))
    return periods


def label(grain: Grain, period: Period, report_date: date) -> str:
    """Name a period as a reader of the report of `report_date` would."""
    newest = period_of(grain, report_date)
    name = _name(grain, period, report_date.year)
    if period == newest:
        return {"day": "Today", "week": "This week", "month": "This month"}[grain] + f" ({name})"
    if period == period_before(grain, newest):
        return {"day": "Yesterday", "week": "Last week", "month": "Last month"}[grain] + f" ({name})"
    return name


def _name(grain: Grain, period: Period, year: int) -> str:
    if grain == "month":
        return f"{MONTHS[period.start.month - 1]} {period.start.year}"
    if grain == "week":
        return f"{_day(period.start, year)} - {_day(period.end, year)}"
    return _day(period.start, year)


def _day(day: date, year: int) -> str:
    short = f"{MONTHS[day.month - 1]} {day.day}"
    return short if day.year == year else f"{short}, {day.year}"
