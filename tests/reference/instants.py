"""RFC 3339 as microseconds since 1970-01-01 UTC."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_FORM = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))?", re.ASCII
)
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097
_EPOCH = date(1970, 1, 1).toordinal()


def instant(value: object) -> int | None:
    """Read a timestamp; None where it is not one. Without an offset it is UTC; digits past the sixth are cut."""
    found = _FORM.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction, sign, offset_hour, offset_minute = found.groups()[6:]
    if hour > 23 or minute > 59 or second > 59:
        return None
    offset = 0
    if sign:
        if int(offset_hour) > 23 or int(offset_minute) > 59:
            return None
        offset = (int(offset_hour) * HOUR + int(offset_minute) * MINUTE) * (1 if sign == "+" else -1)
    days = _days(year, month, day)
    if days is None:
        return None
    microsecond = int((fraction or "")[:6].ljust(6, "0"))
    return days * DAY + hour * HOUR + minute * MINUTE + second * SECOND + microsecond - offset


def _days(year: int, month: int, day: int) -> int | None:
    """Days since the epoch; Python knows no year 0, which is a leap year like 400."""
    try:
        if year == 0:
            return date(_CYCLE_YEARS, month, day).toordinal() - _CYCLE_DAYS - _EPOCH
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def local_date(microseconds: int, zone: ZoneInfo) -> date:
    """Give the calendar day of an instant in a zone."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return moment.astimezone(zone).date()


EARLIEST = (date(2000, 1, 1).toordinal() - _EPOCH) * DAY
"""The first plausible instant."""
END = (date(2100, 1, 1).toordinal() - _EPOCH) * DAY
"""The first instant that is too late to be plausible."""
