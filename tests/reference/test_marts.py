"""Each boundary of the definitions, worked out by hand."""

from datetime import date

import pytest

from reference.examples import account, failure, marts, newest, series, success
from reference.marts import gini

ENGAGEMENT = (
    "all_tests",
    "successful_tests",
    "successful_test_users",
    "active_users",
    "total_users_to_date",
    "total_active_users_to_date",
    "active_percentage",
    "active_change",
    "avg_tests_per_active_user",
)


def test_no_event_gives_twelve_periods_of_zeros_and_nulls() -> None:
    built = marts(on="2025-12-23")
    assert len(built) == 13
    assert built.pop("errors_by_type") == []
    for rows in built.values():
        assert len(rows) == 12
        for row in rows:
            figures = list(row.values())[4:]
            # Every ratio has a zero denominator.
            assert set(figures) <= {0, None}
            assert all(isinstance(figure, int) for figure in figures if figure is not None)
    assert newest(built["monthly_engagement"], *ENGAGEMENT) == (0, 0, 0, 0, 0, 0, None, None, None)
    assert newest(built["daily_funnel"], "accounts_created", "conversion_rate") == (0, None)


def test_columns_stand_in_the_order_of_the_contract() -> None:
    built = marts(on="2025-12-23")
    leading = ["report_date", "period_label", "period_start_date", "period_end_date"]
    assert list(built["weekly_engagement"][0]) == [*leading, *ENGAGEMENT]
    assert list(built["daily_funnel"][0])[4:] == [
        "accounts_created",
        "accounts_with_tests",
        "conversion_rate",
    ]
    assert list(built["daily_advanced_metrics"][0])[4:7] == [
        "total_sessions",
        "successful_sessions",
        "adjusted_success_rate",
    ]
    assert list(built["daily_errors"][0])[-1] == "total_errors"


def test_midnight_is_that_of_the_reporting_zone() -> None:
    # 23:30 UTC on the 22nd is 00:30 on the 23rd in Berlin and 18:30 on the 22nd in New York.
    history = [success("e1", "2025-12-22T23:30:00Z")]
    for zone, expected in [("UTC", [1, 0]), ("Europe/Berlin", [0, 1]), ("America/New_York", [1, 0])]:
        rows = marts(*history, on="2025-12-23", zone=zone)["daily_engagement"]
        assert series(rows, "all_tests")[-2:] == expected


def test_a_day_that_a_zone_never_had_has_a_row_of_its_own() -> None:
    history = [success("e1", "2011-12-30T09:59:59Z"), success("e2", "2011-12-30T10:00:00Z")]
    rows = marts(*history, on="2011-12-31", zone="Pacific/Apia")["daily_engagement"]
    assert series(rows, "period_label")[-3:] == ["Dec 29", "Yesterday (Dec 30)", "Today (Dec 31)"]
    assert series(rows, "all_tests")[-3:] == [1, 0, 1]
    missing = marts(*history, on="2011-12-30", zone="Pacific/Apia")["daily_engagement"]
    assert series(missing, "all_tests")[-2:] == [1, 0]


def test_engagement_counts_users_once_and_events_without_user_as_no_user() -> None:
    history = [
        account("a1", "2025-12-20T08:00:00Z", "ada"),
        account("a2", "2025-12-21T08:00:00Z", "ada"),
        account("a3", "2025-12-22T08:00:00Z", "grace"),
        success("e1", "2025-12-22T09:00:00Z", "ada"),
        failure("e2", "2025-12-22T10:00:00Z", "grace"),
        success("e3", "2025-12-23T09:00:00Z", "ada"),
        success("e4", "2025-12-23T10:00:00Z", "ada"),
        failure("e5", "2025-12-23T11:00:00Z", "alan"),
        success("e6", "2025-12-23T12:00:00Z", None),
    ]
    rows = marts(*history, on="2025-12-23")["daily_engagement"]
    # The 22nd: ada and grace are active, of 2 ever active: 100 %. There was nobody the day before: no change.
    assert tuple(rows[-2][column] for column in ENGAGEMENT) == (2, 1, 1, 2, 2, 2, 100.0, None, 0.5)
    # The 23rd: four tests, three of them successes, one of which has no user; ada and alan are active, of 3
    # ever active: 200/3 %, which is 100/3 points less; 3 successes on 2 users; accounts: ada and grace.
    assert newest(rows, *ENGAGEMENT) == (4, 3, 1, 2, 2, 3, 200 / 3, pytest.approx(-100 / 3), 1.5)
    # The month: 6 tests, 4 successes by ada alone among the users; 3 users.
    monthly = marts(*history, on="2025-12-23")["monthly_engagement"]
    assert newest(monthly, *ENGAGEMENT) == (6, 4, 1, 3, 2, 3, 100.0, None, 4 / 3)


def test_the_oldest_row_is_compared_with_the_day_before_it() -> None:
    # Twelve rows: 12 to 23 December. The 11th has 1 of 1 (100 %), the 12th 1 of 2 (50 %).
    history = [success("e1", "2025-12-11T12:00:00Z", "ada"), success("e2", "2025-12-12T12:00:00Z", "grace")]
    rows = marts(*history, on="2025-12-23")["daily_engagement"]
    assert rows[0]["period_start_date"] == date(2025, 12, 12)
    assert (rows[0]["active_percentage"], rows[0]["active_change"]) == (50.0, -50.0)
    assert (rows[1]["active_percentage"], rows[1]["active_change"]) == (0.0, -50.0)


def test_a_report_for_a_past_date_sees_no_later_day() -> None:
    history = [
        account("a1", "2025-12-22T08:00:00Z", "ada"),
        account("a2", "2025-12-24T08:00:00Z", "grace"),
        success("e1", "2025-12-23T09:00:00Z", "ada"),
        success("e2", "2025-12-24T09:00:00Z", "grace"),
    ]
    weekly = marts(*history, on="2025-12-23")["weekly_engagement"]
    assert newest(weekly, "period_end_date", "all_tests", "total_users_to_date") == (date(2025, 12, 28), 1, 1)
    assert newest(marts(*history, on="2025-12-24")["weekly_engagement"], "all_tests") == (2,)
    assert newest(marts(*history, on="2025-12-22")["weekly_engagement"], "all_tests") == (0,)


def test_a_late_account_created_restates_the_past() -> None:
    known = [account("a2", "2025-12-22T08:00:00Z"), success("e1", "2025-12-23T08:00:00Z")]
    before = marts(*known, on="2025-12-23")["daily_funnel"]
    after = marts(*known, account("a1", "2025-12-20T08:00:00Z"), on="2025-12-23")["daily_funnel"]
    assert series(before, "accounts_created")[-4:] == [0, 0, 1, 0]
    assert series(after, "accounts_created")[-4:] == [1, 0, 0, 0]


def test_an_arrival_from_the_future_of_a_report_still_settles_its_id() -> None:
    # The copy received first says the 24th: that is when it happened, also for the report of the 23rd.
    history = [
        success("e1", "2025-12-24T00:00:00Z", received_at="2025-12-23T01:00:00Z"),
        success("e1", "2025-12-23T00:00:00Z", received_at="2025-12-23T02:00:00Z"),
    ]
    assert newest(marts(*history, on="2025-12-23")["daily_engagement"], "all_tests") == (0,)
    assert newest(marts(*history, on="2025-12-24")["daily_engagement"], "all_tests") == (1,)


TRIES = ("total_sessions", "successful_sessions", "first_try_successes", "second_try_successes")


@pytest.mark.parametrize(
    ("success_at", "expected"),
    [
        (1, (1, 1, 1, 0, 0)),
        (2, (1, 1, 0, 1, 0)),
        (3, (1, 1, 0, 0, 1)),
        (7, (1, 1, 0, 0, 1)),
        (8, (1, 0, 0, 0, 0)),
    ],
)
def test_the_first_success_of_seven_tries_decides(success_at: int, expected: tuple[int, ...]) -> None:
    # Every later try succeeds too and changes nothing.
    history = [
        (success if number >= success_at else failure)(
            f"e{number}", f"2025-12-23T10:0{number}:00Z", session_id="s"
        )
        for number in range(1, 8)
    ]
    rows = marts(*history, on="2025-12-23")["daily_advanced_metrics"]
    assert newest(rows, *TRIES, "third_plus_try_successes") == expected
    assert newest(rows, "adjusted_success_rate") == (100.0 * expected[1],)


def test_equal_timestamps_are_ordered_by_event_id_by_code_point() -> None:
    at = "2025-12-23T10:00:00Z"
    # "B" < "a" by code point, and "10" < "9" as text: the failure comes first, the success is the second try.
    for first, second in [("B", "a"), ("10", "9"), ("z", "\u00e9"), ("\uffee", "\U0001f600")]:
        history = [success(second, at, session_id="s"), failure(first, at, session_id="s")]
        rows = marts(*history, on="2025-12-23")["daily_advanced_metrics"]
        assert newest(rows, *TRIES) == (1, 1, 0, 1), (first, second)


def test_a_session_over_midnight_belongs_to_the_day_of_its_first_test() -> None:
    history = [
        failure("e1", "2025-12-22T23:59:00Z", session_id="s"),
        success("e2", "2025-12-23T00:01:00Z", session_id="s"),
    ]
    # The report of the 22nd has not seen the success yet, that of the 23rd counts it for the 22nd.
    assert newest(marts(*history, on="2025-12-22")["daily_advanced_metrics"], *TRIES) == (1, 0, 0, 0)
    rows = marts(*history, on="2025-12-23")["daily_advanced_metrics"]
    assert [tuple(row[column] for column in TRIES) for row in rows[-2:]] == [(1, 1, 0, 1), (0, 0, 0, 0)]


def test_a_session_stays_with_its_first_test_however_long_ago() -> None:
    history = [
        failure("e1", "2024-01-01T00:00:00Z", session_id="s"),
        success("e2", "2025-12-23T00:00:00Z", session_id="s"),
    ]
    assert series(marts(*history, on="2025-12-23")["monthly_advanced_metrics"], "total_sessions") == [0] * 12
    assert newest(marts(*history, on="2025-12-23")["daily_engagement"], "all_tests") == (1,)


def test_a_session_is_one_of_one_user_whatever_the_service() -> None:
    at = "2025-12-23T10:00:00Z"
    history = [
        success("e1", at, "ada", session_id="s", service_key="app"),
        success("e2", at, "ada", session_id=" s ", service_key="web"),
        success("e3", at, "grace", session_id="s"),
        # Tests without a user that share a session_id are a session apart.
        success("e4", at, None, session_id="s"),
        success("e5", at, None, session_id="s"),
        # Without a session_id every test is a session of its own.
        success("e6", at, "ada"),
        success("e7", at, "ada", session_id=" "),
        success("e8", at, None),
    ]
    assert newest(marts(*history, on="2025-12-23")["daily_advanced_metrics"], *TRIES[:2]) == (6, 6)


def test_the_gini_coefficient_is_that_of_the_definitions() -> None:
    assert gini([]) is None
    assert gini([0, 0]) is None
    assert gini([5]) == 0
    assert gini([2, 2, 2]) == 0
    # Two users, one with everything: ((2·1-2-1)·0 + (2·2-2-1)·4) ÷ (2·4) = 4 ÷ 8.
    assert gini([4, 0]) == 0.5
    # Σ(2i-n-1)xᵢ over 1, 2, 6 with n = 3: -2·1 + 0·2 + 2·6 = 10, over 3·9.
    assert float(gini([6, 1, 2]) or 0) == 10 / 27


def test_the_gini_coefficient_counts_the_users_without_failure_and_no_test_without_user() -> None:
    history = [
        failure("e1", "2025-12-22T23:59:00Z", "ada", session_id="s"),
        failure("e2", "2025-12-23T00:01:00Z", "ada", session_id="s"),
        success("e3", "2025-12-23T10:00:00Z", "grace"),
        failure("e4", "2025-12-23T11:00:00Z", None),
    ]
    # By the test's own day: ada 1 on the 22nd; on the 23rd ada 1 and grace 0: 1 ÷ (2·1).
    assert series(marts(*history, on="2025-12-23")["daily_advanced_metrics"], "error_gini_coefficient")[
        -2:
    ] == [
        0.0,
        0.5,
    ]
    alone = marts(history[3], history[2], on="2025-12-23")
    assert newest(alone["daily_advanced_metrics"], "error_gini_coefficient") == (None,)
    assert newest(alone["daily_errors"], "total_errors") == (1,)


def test_errors_fall_into_their_columns_and_the_total_counts_all() -> None:
    at = "2025-12-23T10:00:00Z"
    history = [
        failure("e1", at, error_code="camera_too_far"),
        failure("e2", at, error_code="analysis_error"),
        failure("e3", at, error_code="E-17"),
        # Unknown codes, odd ones, none, and codes in another case are in the total alone.
        failure("e4", at, error_code="battery_empty"),
        failure("e5", at, error_code="Camera_Too_Far"),
        failure("e6", at, error_code="no camera!"),
        failure("e7", at),
        # The code of a success is ignored.
        success("e8", at, error_code="camera_too_far"),
    ]
    built = marts(*history, on="2025-12-23")
    assert list(built["daily_errors"][-1].values())[4:] == [0, 1, 0, 2, 0, 0, 7]
    days = {
        row["error_code"]: row["failed_tests"] for row in built["errors_by_type"] if row["grain"] == "day"
    }
    assert days == {
        "camera_too_far": 1,
        "analysis_error": 1,
        "E-17": 1,
        "battery_empty": 1,
        "Camera_Too_Far": 1,
        "(unprintable)": 1,
        "(none)": 1,
    }


def test_errors_by_type_go_back_to_the_first_failure() -> None:
    history = [failure("e1", "2020-02-29T10:00:00Z"), failure("e2", "2025-12-24T10:00:00Z")]
    assert [tuple(row.values()) for row in marts(*history, on="2025-12-23")["errors_by_type"]] == [
        ("day", date(2020, 2, 29), "(none)", 1),
        ("month", date(2020, 2, 1), "(none)", 1),
        ("week", date(2020, 2, 24), "(none)", 1),
    ]


def test_the_funnel_counts_tests_before_the_account_and_up_to_the_report_date() -> None:
    history = [
        account("a1", "2025-12-20T10:00:00Z", "ada"),
        account("a2", "2025-12-20T11:00:00Z", "grace"),
        account("a3", "2025-12-20T12:00:00Z", "alan"),
        success("e1", "2025-12-01T10:00:00Z", "ada"),
        failure("e2", "2025-12-23T10:00:00Z", "grace"),
        # No account: in no funnel. No user: converts nobody.
        success("e3", "2025-12-20T10:00:00Z", "edsger"),
        success("e4", "2025-12-20T10:00:00Z", None),
    ]
    funnel = ("accounts_created", "accounts_with_tests", "conversion_rate")
    on_the_day = marts(*history, on="2025-12-20")["daily_funnel"]
    assert newest(on_the_day, *funnel) == (3, 1, 100 / 3)
    later = marts(*history, on="2025-12-23")["daily_funnel"]
    assert tuple(later[-4][column] for column in funnel) == (3, 2, 200 / 3)
    assert newest(later, *funnel) == (0, 0, None)


def test_a_user_without_account_is_active_and_no_account() -> None:
    rows = marts(success("e1", "2025-12-23T10:00:00Z", "ada"), on="2025-12-23")["daily_engagement"]
    assert newest(rows, "total_users_to_date", "total_active_users_to_date") == (0, 1)
