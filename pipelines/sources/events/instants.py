"""Instants as RFC 3339 text, in whole microseconds since 1970-01-01 UTC."""

import re

TEXT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))?", re.ASCII
)
DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
MICROSECONDS_A_DAY = 86_400_000_000
FIRST_STORABLE = -62_135_596_800_000_000
"""0001-01-01, before which warehouses know no instant; RFC 3339 goes a year and an offset further back."""
LAST_STORABLE = 253_402_300_799_999_999
"""The last microsecond of the year 9999, after which an offset can lead."""


def instant(text: str) -> int | None:
    """Read RFC 3339 to the microsecond, further digits cut; None where it is not readable.

    `t`, `z` and a blank for `T` are fine, and without an offset the text is UTC. Second 60 and hour 24 are not readable.
    """
    match = TEXT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    if not 1 <= month <= 12 or not 1 <= day <= _days(year, month) or hour > 23 or minute > 59 or second > 59:
        return None
    seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
    if sign:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            return None
        seconds -= int(sign + "1") * (int(offset_hours) * 3600 + int(offset_minutes) * 60)
    return seconds * 1_000_000 + (int(fraction[:6].ljust(6, "0")) if fraction else 0)


def days_since_1970(year: int, month: int, day: int) -> int:
    """Count the days from 1970-01-01 to a date of the Gregorian calendar, years before it included."""
    shifted = year - (month <= 2)
    era_day = 365 * shifted + shifted // 4 - shifted // 100 + shifted // 400
    return era_day + (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1 - 719_468


def _days(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return DAYS[month - 1] + leap
