from datetime import date

import pytest

from reference.periods import Grain, label, trailing


def labels(grain: Grain, report_date: str, count: int = 3) -> list[str]:
    """The labels of a report, newest first."""
    day = date.fromisoformat(report_date)
    return [label(grain, period, day) for period in reversed(trailing(grain, day, count))]


# 2025-12-23 is a Tuesday; its ISO week runs from Monday the 22nd to Sunday the 28th.
@pytest.mark.parametrize(
    ("grain", "report_date", "expected"),
    [
        ("day", "2025-12-23", ["Today (Dec 23)", "Yesterday (Dec 22)", "Dec 21"]),
        (
            "week",
            "2025-12-23",
            ["This week (Dec 22 - Dec 28)", "Last week (Dec 15 - Dec 21)", "Dec 8 - Dec 14"],
        ),
        ("month", "2025-12-23", ["This month (Dec 2025)", "Last month (Nov 2025)", "Oct 2025"]),
        ("day", "2026-01-01", ["Today (Jan 1)", "Yesterday (Dec 31, 2025)", "Dec 30, 2025"]),
        # 2026-01-05 is a Monday.
        (
            "week",
            "2026-01-05",
            [
                "This week (Jan 5 - Jan 11)",
                "Last week (Dec 29, 2025 - Jan 4)",
                "Dec 22, 2025 - Dec 28, 2025",
            ],
        ),
        # The year of the report date is what is left out, not the year of the week.
        (
            "week",
            "2025-12-31",
            ["This week (Dec 29 - Jan 4, 2026)", "Last week (Dec 22 - Dec 28)", "Dec 15 - Dec 21"],
        ),
        ("month", "2026-01-31", ["This month (Jan 2026)", "Last month (Dec 2025)", "Nov 2025"]),
    ],
)
def test_labels_read_as_the_definitions_say(grain: Grain, report_date: str, expected: list[str]) -> None:
    assert labels(grain, report_date) == expected


def test_a_sunday_ends_its_week_and_a_monday_begins_one() -> None:
    assert trailing("week", date(2025, 12, 28), 1)[0].start == date(2025, 12, 22)
    assert trailing("week", date(2025, 12, 29), 1)[0].start == date(2025, 12, 29)


def test_months_have_their_own_lengths() -> None:
    ends = [period.end.day for period in trailing("month", date(2024, 3, 31), 4)]
    assert ends == [31, 31, 29, 31]
