"""When the made-up company lives: everything in it hangs on its own calendar, nothing on the day of the run.

So two runs on different days tell the same about the same dates. A run sees the company as it is at noon UTC
of its day, and writes the events of the last 120 days.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property

FOUNDED = dt.date(2026, 7, 6)
WINDOW_DAYS = 120
# Whole weeks, so that Mondays stay Mondays.
GENERATION = dt.timedelta(days=364)

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Company:
    """The company as one day's run sees it. Days are counted from its first one, instants in ms since 1970."""

    today: dt.date

    @cached_property
    def founded(self) -> dt.date:
        """The first day; years earlier than usual where the machine's clock stands before the usual one."""
        founded = FOUNDED
        while self.today < founded + dt.timedelta(days=WINDOW_DAYS):
            founded -= GENERATION
        return founded

    @property
    def last_day(self) -> int:
        """The number of today."""
        return (self.today - self.founded).days

    @property
    def first_day(self) -> int:
        """The number of the first day whose events are all written."""
        return self.last_day - WINDOW_DAYS + 1

    def start_of(self, day: int) -> int:
        """The first instant of a day, in UTC."""
        return ((self.founded - _EPOCH).days + day) * DAY

    @property
    def now(self) -> int:
        """The instant at which the company is looked at."""
        return self.start_of(self.last_day) + 12 * HOUR

    def date(self, day: int) -> dt.date:
        """The calendar date of a day."""
        return self.founded + dt.timedelta(days=day)

    def day_of(self, instant: int) -> int:
        """The day in which an instant lies, in UTC."""
        return (instant - self.start_of(0)) // DAY


def as_datetime(instant: int, offset_minutes: int = 0) -> dt.datetime:
    """An instant as it is read on a clock so many minutes ahead of UTC."""
    zone = dt.timezone(dt.timedelta(minutes=offset_minutes))
    return dt.datetime.fromtimestamp(instant / 1000, tz=zone)
