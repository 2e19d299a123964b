"""The made-up company by itself: it tells the same about the same dates, whenever one looks."""

import datetime as dt
import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from pipelines.demo import oddities, users
from pipelines.demo.calendar import FOUNDED, WINDOW_DAYS, Company
from pipelines.demo.camera import UNKNOWN_CODE
from pipelines.demo.event_files import CARRIED_OVER, write_events
from pipelines.demo.events import Delivery, Event, as_object

# One process makes each company once.
pytestmark = pytest.mark.xdist_group("demo_company")

TODAY = dt.date(2026, 11, 21)


@cache
def delivered(today: dt.date) -> list[Delivery]:
    company = Company(today)
    return [*users.deliveries(company), *oddities.deliveries(company)]


def counted(today: dt.date) -> list[Event]:
    events = [
        line.content
        for line in delivered(today)
        if line.fate == "counted" and isinstance(line.content, Event)
    ]
    return [event._replace(received=0) for event in events]


def attempts(today: dt.date) -> list[Event]:
    return [event for event in counted(today) if event.event_key == "test_completed"]


def first_tests(today: dt.date) -> dict[int, Event]:
    first: dict[int, Event] = {}
    for event in sorted(attempts(today), key=lambda event: (event.occurred, event.event_id)):
        if event.user_id is not None:
            first.setdefault(event.user_id, event)
    return first


def sessions(events: list[Event]) -> dict[tuple[int | None, str], set[Event]]:
    found: dict[tuple[int | None, str], set[Event]] = defaultdict(set)
    for event in events:
        assert event.metadata is not None
        found[event.user_id, event.metadata["session_id"]].add(hashable(event))
    return found


def hashable(event: Event) -> Event:
    return event._replace(metadata=json.dumps(event.metadata))  # type: ignore[arg-type]


@pytest.mark.parametrize("days_later", [1, 30])
def test_runs_on_different_days_tell_the_same_about_the_days_that_both_see(days_later: int) -> None:
    later = TODAY + dt.timedelta(days=days_later)
    begin = Company(later).start_of(Company(later).first_day)
    end = Company(TODAY).now

    def seen(today: dt.date) -> set[Event]:
        return {hashable(event) for event in counted(today) if begin <= event.occurred < end}

    assert seen(TODAY) == seen(later)
    # What a period counts up to its end, and what a session of it did before it began, is the same too.
    accounts, accounts_later = (
        {event for event in counted(day) if event.event_key == "account_created" and event.occurred < end}
        for day in (TODAY, later)
    )
    assert accounts == accounts_later
    firsts, firsts_later = first_tests(TODAY), first_tests(later)
    assert firsts == {user: event for user, event in firsts_later.items() if event.occurred < end}
    of_now, of_later = sessions(attempts(TODAY)), sessions(attempts(later))
    for key, members in of_now.items():
        if any(begin <= event.occurred for event in members):
            assert members == {event for event in of_later[key] if event.occurred < end}


def test_a_second_run_of_a_day_mends_a_half_written_file_and_touches_no_other(tmp_path: Path) -> None:
    def files() -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}

    written = write_events(Company(TODAY), tmp_path)
    first = files()
    broken = min(tmp_path.glob("*.jsonl"))
    broken.write_bytes(broken.read_bytes()[:1000])
    assert write_events(Company(TODAY), tmp_path) == written
    second = files()
    assert second.pop(broken.name)[1] == first.pop(broken.name)[1]
    assert second == first
    assert written.files == len(first) + 1 == WINDOW_DAYS + 1
    assert CARRIED_OVER in first
    assert {name.partition(".")[2] for name in first} == {"jsonl", "jsonl.gz", "csv", "parquet"}


@pytest.mark.parametrize("today", [TODAY, TODAY + dt.timedelta(days=30)])
def test_every_fate_is_planted_and_rare_ones_once_in_a_window(today: dt.date) -> None:
    fates = Counter(line.fate for line in delivered(today))
    assert set(fates) == {
        "counted",
        "duplicate",
        "conflict",
        "flagged",
        "no_role",
        "bad_status",
        "no_user",
        "malformed",
        "incomplete",
        "implausible",
    }
    assert (fates["conflict"], fates["malformed"], fates["incomplete"], fates["implausible"]) == (1, 3, 3, 2)
    assert fates["duplicate"] > 100


def test_no_two_events_share_an_id_by_accident() -> None:
    firsts = [
        line.content.event_id
        for line in delivered(TODAY)
        if isinstance(line.content, Event) and line.fate not in {"duplicate", "conflict"}
    ]
    assert len(firsts) == len(set(firsts))


def test_nothing_comes_from_the_future_of_the_run() -> None:
    now = Company(TODAY).now
    for line in delivered(TODAY):
        assert line.received <= now
        if isinstance(line.content, Event):
            assert line.content.occurred <= line.received


def test_events_come_late_and_twice() -> None:
    late = [
        line
        for line in delivered(TODAY)
        if isinstance(line.content, Event) and line.received - line.content.occurred > 86_400_000
    ]
    assert len(late) > 300


def test_it_has_about_2000_users_of_whom_about_300_test_on_a_day() -> None:
    company = Company(TODAY)
    accounts = {event.user_id for event in counted(TODAY) if event.event_key == "account_created"}
    assert 1_800 <= len(accounts) <= 2_200
    active: dict[int, set[int]] = defaultdict(set)
    for event in attempts(TODAY):
        if event.user_id is not None:
            active[company.day_of(event.occurred)].add(event.user_id)
    last_week = [len(active[day]) for day in range(company.last_day - 7, company.last_day)]
    assert 270 <= sum(last_week) / 7 <= 330
    assert len(active[company.last_day]) < min(last_week), "today is not over"
    a_month_in = [len(active[day]) for day in range(company.first_day + 20, company.first_day + 27)]
    assert sum(a_month_in) < 0.7 * sum(last_week)
    testers = set().union(*active.values())
    assert 0.12 < len(accounts - testers) / len(accounts) < 0.25
    assert 5 <= len(testers - accounts) <= 60


def test_later_tries_succeed_more_often_and_few_users_have_most_failures() -> None:
    tries: dict[int, list[bool]] = defaultdict(list)
    failures: Counter[int | None] = Counter()
    for members in sessions(attempts(TODAY)).values():
        ordered = sorted(members, key=lambda event: event.event_id)
        assert len(ordered) <= 5
        for number, event in enumerate(ordered):
            is_success = "success" in str(event.metadata)
            tries[number].append(is_success)
            failures[event.user_id] += not is_success
    first, second = (sum(tries[number]) / len(tries[number]) for number in (0, 1))
    assert 0.55 < first < 0.75
    assert second > first - 0.02
    counts = sorted(failures.values(), reverse=True)
    assert sum(counts[: len(counts) // 10]) > 0.35 * sum(counts)


def test_a_camera_release_halves_camera_too_far() -> None:
    company = Company(TODAY)
    shares = []
    for days in (range(64, 78), range(78, 92)):
        tests = [event for event in attempts(TODAY) if company.day_of(event.occurred) in days]
        far = [event for event in tests if "camera_too_far" in (event.metadata or {}).values()]
        shares.append(len(far) / len(tests))
    before, after = shares
    assert after < before / 2


def test_a_code_that_nobody_planned_for_is_a_few_days_old() -> None:
    company = Company(TODAY)
    days = {
        company.day_of(event.occurred)
        for event in attempts(TODAY)
        if UNKNOWN_CODE in (event.metadata or {}).values()
    }
    assert days
    assert min(days) >= company.last_day - 7


def test_users_stay_fewer_by_the_week() -> None:
    company = Company(TODAY)
    signed_up = {
        event.user_id: company.day_of(event.occurred)
        for event in counted(TODAY)
        if event.event_key == "account_created"
    }
    weeks: dict[int, set[int | None]] = defaultdict(set)
    for event in attempts(TODAY):
        # A cohort whose first eight weeks lie within the window.
        if (
            event.user_id in signed_up
            and company.first_day <= signed_up[event.user_id] < company.first_day + 60
        ):
            weeks[(company.day_of(event.occurred) - signed_up[event.user_id]) // 7].add(event.user_id)
    sizes = [len(weeks[week]) for week in (0, 1, 3, 7)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 0.1 * sizes[0]


@pytest.mark.parametrize("today", [dt.date(2019, 2, 28), FOUNDED, dt.date(2027, 2, 1)])
def test_there_is_a_company_whatever_the_clock_says(today: dt.date) -> None:
    company = Company(today)
    assert company.first_day >= 0
    assert company.last_day - company.first_day == WINDOW_DAYS - 1
    assert company.founded.weekday() == FOUNDED.weekday()
    assert company.date(company.last_day) == today


def test_an_event_is_written_in_the_native_form() -> None:
    event = Event(7, "test_completed", 1_001, 1_790_000_000_123, 1_790_000_002_000, 60, {"status": "success"})
    assert as_object(event) == {
        "event_id": 7,
        "event_key": "test_completed",
        "event_name": "Test completed",
        "service_key": "mobile_app",
        "user_id": 1_001,
        "occurred_at": "2026-09-21T15:13:20.123+01:00",
        "received_at": "2026-09-21T14:13:22.000+00:00",
        "is_test": False,
        "metadata": {"status": "success"},
    }
