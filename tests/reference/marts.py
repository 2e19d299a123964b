"""The marts of one report date, as rows without `created_at`, oldest period first."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from zoneinfo import ZoneInfo

from reference.instants import local_date
from reference.lines import Counted, Roles, Settled, counted
from reference.periods import ADJECTIVES, GRAINS, Grain, Period, label, period_before, period_of, trailing

Value = date | str | int | float | None
Row = dict[str, Value]

ERROR_COLUMNS = (
    "no_period_history",
    "camera_too_far",
    "camera_too_close",
    "analysis_error",
    "test_lines_not_found",
    "test_not_found",
)


@dataclass(frozen=True)
class Test:
    """One test and its local day."""

    __test__ = False  # not a test class of pytest

    day: date
    event: Counted


@dataclass(frozen=True)
class Known:
    """What a report may use: events whose local day is not after the report date."""

    report_date: date
    tests: list[Test]
    accounts: dict[str, date]
    """user -> local day of the first account created"""
    sessions: list[list[Test]]
    """every session's tests in their order"""
    error_types: Mapping[str, str]

    def tests_in(self, period: Period) -> list[Test]:
        """Tests of a period by their own day."""
        return [test for test in self.tests if test.day in period]


def report(
    settled: Settled,
    report_date: date,
    timezone: str,
    roles: Roles,
    error_types: Mapping[str, str],
    periods: int = 12,
) -> dict[str, list[Row]]:
    """Compute every mart for one report date; `error_types` leads from an error code to its column."""
    known = _known(settled, report_date, ZoneInfo(timezone), roles, error_types)
    subjects: dict[str, Callable[[Known, Grain, Period], Row]] = {
        "engagement": _engagement,
        "advanced_metrics": _advanced_metrics,
        "errors": _errors,
        "funnel": _funnel,
    }
    marts = {
        f"{ADJECTIVES[grain]}_{subject}": [
            _leading(known, grain, period) | compute(known, grain, period)
            for period in trailing(grain, report_date, periods)
        ]
        for subject, compute in subjects.items()
        for grain in GRAINS
    }
    return marts | {"errors_by_type": _errors_by_type(known)}


def _known(
    settled: Settled, report_date: date, zone: ZoneInfo, roles: Roles, error_types: Mapping[str, str]
) -> Known:
    tests: list[Test] = []
    accounts: dict[str, date] = {}
    for event in sorted(counted(settled, roles), key=lambda event: (event.occurred_at, event.event_id)):
        day = local_date(event.occurred_at, zone)
        if day > report_date:
            continue
        if event.role == "test":
            tests.append(Test(day, event))
        elif event.user_id is not None:
            accounts.setdefault(event.user_id, day)
    return Known(report_date, tests, accounts, _sessions(tests), error_types)


def _sessions(ordered: list[Test]) -> list[list[Test]]:
    """Group tests, which stand in their order, by user and session_id; a blank session_id is a session of its own."""
    sessions: dict[tuple[object, ...], list[Test]] = defaultdict(list)
    for test in ordered:
        event = test.event
        alone = event.event_id if event.session_id is None else None
        sessions[(event.user_id, event.session_id, alone)].append(test)
    return list(sessions.values())


def _leading(known: Known, grain: Grain, period: Period) -> Row:
    return {
        "report_date": known.report_date,
        "period_label": label(grain, period, known.report_date),
        "period_start_date": period.start,
        "period_end_date": period.end,
    }


def _engagement(known: Known, grain: Grain, period: Period) -> Row:
    tests = known.tests_in(period)
    successes = [test for test in tests if test.event.is_success]
    active = _active_percentage(known, period)
    active_before = _active_percentage(known, period_before(grain, period))
    change = None if active is None or active_before is None else active - active_before
    return {
        "all_tests": len(tests),
        "successful_tests": len(successes),
        "successful_test_users": len(_users(successes)),
        "active_users": len(_users(tests)),
        "total_users_to_date": sum(day <= period.end for day in known.accounts.values()),
        "total_active_users_to_date": len(_users_to_date(known, period)),
        "active_percentage": _float(active),
        "active_change": _float(change),
        "avg_tests_per_active_user": _float(_ratio(len(successes), len(_users(tests)))),
    }


def _active_percentage(known: Known, period: Period) -> Fraction | None:
    return _percentage(len(_users(known.tests_in(period))), len(_users_to_date(known, period)))


def _users(tests: list[Test]) -> set[str]:
    return {test.event.user_id for test in tests if test.event.user_id is not None}


def _users_to_date(known: Known, period: Period) -> set[str]:
    return _users([test for test in known.tests if test.day <= period.end])


def _advanced_metrics(known: Known, grain: Grain, period: Period) -> Row:
    tries = [_first_success(session) for session in known.sessions if session[0].day in period]
    successful = [attempt for attempt in tries if attempt is not None]
    first, second = successful.count(1), successful.count(2)
    third_plus = sum(attempt >= 3 for attempt in successful)
    return {
        "total_sessions": len(tries),
        "successful_sessions": len(successful),
        "adjusted_success_rate": _float(_percentage(len(successful), len(tries))),
        "first_try_successes": first,
        "first_try_success_rate": _float(_percentage(first, len(tries))),
        "second_try_successes": second,
        "second_try_success_rate": _float(_percentage(second, len(tries))),
        "third_plus_try_successes": third_plus,
        "third_plus_try_success_rate": _float(_percentage(third_plus, len(tries))),
        "error_gini_coefficient": _float(_error_gini(known, period)),
    }


def _first_success(session: list[Test]) -> int | None:
    """Which try, counted from 1, was the first to succeed."""
    return next((number for number, test in enumerate(session, start=1) if test.event.is_success), None)


def _error_gini(known: Known, period: Period) -> Fraction | None:
    failures = dict.fromkeys(_users(known.tests_in(period)), 0)
    for test in known.tests_in(period):
        if test.event.user_id is not None and not test.event.is_success:
            failures[test.event.user_id] += 1
    return gini(list(failures.values()))


def gini(values: list[int]) -> Fraction | None:
    """Half the mean absolute difference over the mean: 0 where all are equal; None where all are 0."""
    count = len(values)
    weighted = sum((2 * rank - count - 1) * value for rank, value in enumerate(sorted(values), start=1))
    return _ratio(weighted, count * sum(values))


def _errors(known: Known, grain: Grain, period: Period) -> Row:
    failed = [test for test in known.tests_in(period) if not test.event.is_success]
    by_column = Counter(known.error_types.get(test.event.error_code or "") for test in failed)
    columns: Row = {column: by_column[column] for column in ERROR_COLUMNS}
    return columns | {"total_errors": len(failed)}


def _errors_by_type(known: Known) -> list[Row]:
    """Every period with a failure, not the trailing ones alone."""
    failed = [test for test in known.tests if not test.event.is_success]
    cells = Counter(
        (grain, period_of(grain, test.day).start, test.event.error_code or "(none)")
        for grain in GRAINS
        for test in failed
    )
    return [
        {"grain": grain, "period_start_date": start, "error_code": error_code, "failed_tests": failures}
        for (grain, start, error_code), failures in sorted(cells.items())
    ]


def _funnel(known: Known, grain: Grain, period: Period) -> Row:
    created = {user for user, day in known.accounts.items() if day in period}
    converted = created & _users(known.tests)
    return {
        "accounts_created": len(created),
        "accounts_with_tests": len(converted),
        "conversion_rate": _float(_percentage(len(converted), len(created))),
    }


def _ratio(numerator: int, denominator: int) -> Fraction | None:
    return Fraction(numerator, denominator) if denominator else None


def _percentage(numerator: int, denominator: int) -> Fraction | None:
    return _ratio(100 * numerator, denominator)


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)
