from datetime import date
from zoneinfo import ZoneInfo

import pytest

from reference.instants import DAY, EARLIEST, END, HOUR, instant, local_date

# 2025-12-23 is day 20,445 since 1970: 55 years of 365 days, 14 leap days (1972 … 2024), 356 days of 2025.
NOON = 20_445 * DAY + 12 * HOUR


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-23T12:00:00Z",
        "2025-12-23t12:00:00z",
        "2025-12-23 12:00:00",
        "2025-12-23T12:00:00.0000009Z",
        "2025-12-23T13:30:00+01:30",
        "2025-12-22T23:00:00-13:00",
        "2025-12-23T12:00:00-00:00",
    ],
)
def test_these_are_one_instant(text: str) -> None:
    assert instant(text) == NOON


def test_digits_past_the_microsecond_are_cut() -> None:
    assert instant("2025-12-23T12:00:00.1234569Z") == NOON + 123_456
    assert instant("2025-12-23T12:00:00.5Z") == NOON + 500_000


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-23T12:00:60Z",
        "2025-12-23T24:00:00Z",
        "2025-12-23T12:60:00Z",
        "2025-02-29T12:00:00Z",
        "2025-13-01T12:00:00Z",
        "2025-12-23",
        "2025-12-23T12:00Z",
        "2025-12-23T12:00:00.Z",
        "2025-12-23T12:00:00,5Z",
        "2025-12-23T12:00:00+0100",
        "2025-12-23T12:00:00+24:00",
        "2025-12-23T12:00:00+01:60",
        "2025-12-23T12:00:00 Z",
        "2025-12-23_12:00:00Z",
        "12025-12-23T12:00:00Z",
        "٢٠٢٥-12-23T12:00:00Z",
        "2025-12-23T12:00:00Z\n",
        "now",
        "",
        1766491200,
        None,
    ],
)
def test_these_cannot_be_read(text: object) -> None:
    assert instant(text) is None


def test_readable_is_not_yet_plausible() -> None:
    assert instant("1999-12-31T23:59:59.999999Z") == EARLIEST - 1
    assert instant("2000-01-01T00:59:59+01:00") == EARLIEST - 1_000_000
    assert instant("2100-01-01T00:00:00Z") == END
    year_zero = instant("0000-02-29T00:00:00Z")
    assert year_zero is not None
    assert year_zero < EARLIEST
    # A year of 366 days lies between the first days of the years 0 and 1.
    assert instant("0001-01-01T00:00:00Z") == (instant("0000-01-01T00:00:00Z") or 0) + 366 * DAY
    assert (instant("9999-12-31T23:59:59-23:59") or 0) > END


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        # Summer time in Berlin began on 2025-03-30 at 01:00 UTC: midnight was 23:00, then 22:00 UTC.
        ("2025-03-29T22:59:59Z", "Europe/Berlin", date(2025, 3, 29)),
        ("2025-03-29T23:00:00Z", "Europe/Berlin", date(2025, 3, 30)),
        ("2025-03-30T21:59:59.999999Z", "Europe/Berlin", date(2025, 3, 30)),
        ("2025-03-30T22:00:00Z", "Europe/Berlin", date(2025, 3, 31)),
        # Samoa went from 2011-12-29 24:00 at -10 to 2011-12-31 00:00 at +14: both 10:00 UTC on the 30th.
        ("2011-12-30T09:59:59.999999Z", "Pacific/Apia", date(2011, 12, 29)),
        ("2011-12-30T10:00:00Z", "Pacific/Apia", date(2011, 12, 31)),
    ],
)
def test_an_event_belongs_to_the_local_day_of_its_instant(text: str, zone: str, expected: date) -> None:
    assert local_date(instant(text) or 0, ZoneInfo(zone)) == expected
