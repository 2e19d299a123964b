"""Days, ISO weeks and calendar months: where they begin and end, and what a report calls them."""

import datetime as dt
from collections.abc import Iterator

GRAINS = ("day", "week", "month")
ADJECTIVES = {"day": "daily", "week": "weekly", "month": "monthly"}
FIRST_YEAR, LAST_YEAR = 1900, 9000
"""Years of which figures may be."""
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NEWEST = {"day": "Today", "week": "This week", "month": "This month"}
_LAST = {"day": "Yesterday", "week": "Last week", "month": "Last month"}


def is_day(value: object) -> bool:
    """Tell whether a value is a date with periods around it."""
    return type(value) is dt.date and FIRST_YEAR <= value.year <= LAST_YEAR


def period_start(grain: str, day: dt.date) -> dt.date:
    """Give the first day of the period that a day belongs to."""
    if grain == "week":
        return day - dt.timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def period_end(grain: str, start: dt.date) -> dt.date:
    """Give the last day of the period that begins on `start`."""
    if grain == "week":
        return start + dt.timedelta(days=6)
    if grain == "month":
        return (start + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    return start


def period_before(grain: str, start: dt.date) -> dt.date:
    """Give the first day of the period before the one that begins on `start`."""
    return period_start(grain, start - dt.timedelta(days=1))


def days_of(grain: str, start: dt.date) -> Iterator[dt.date]:
    """Yield each day of a period."""
    for number in range((period_end(grain, start) - start).days + 1):
        yield start + dt.timedelta(days=number)


def period_label(grain: str, start: dt.date, report_date: dt.date) -> str:
    """Name a period for people, as seen from the day of the report."""
    name = _plain_name(grain, start, report_date.year)
    newest = period_start(grain, report_date)
    if start == newest:
        return f"{_NEWEST[grain]} ({name})"
    return f"{_LAST[grain]} ({name})" if start == period_before(grain, newest) else name


def _plain_name(grain: str, start: dt.date, year: int) -> str:
    if grain == "month":
        return f"{_MONTHS[start.month - 1]} {start.year}"
    if grain == "week":
        return f"{_day_name(start, year)} - {_day_name(period_end('week', start), year)}"
    return _day_name(start, year)


def _day_name(day: dt.date, year: int) -> str:
    name = f"{_MONTHS[day.month - 1]} {day.day}"
    return name if day.year == year else f"{name}, {day.year}"
