from collections import Counter

import pytest

from reference import counted, fates, lines_of, quarantine, settle
from reference.examples import ROLES, account, failure, line, settled, success

AT = "2025-12-23T12:00:00Z"


def fate(*raw: bytes) -> list[str]:
    """The fates of these lines, in their order."""
    found = fates(settled(*raw), ROLES)
    return [found[place] for place in sorted(found)]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"event_key": "test_finished", "occurred_at": "2025-12-23T12:00:00Z"}',
        line(" ", AT),
        line("e1", AT, event_key=None),
        line("e1", "yesterday"),
        line(True, AT),
        line(["e1"], AT),
        line("e1", AT, user_id={"id": 1}),
        line("e1", AT, metadata={"session_id": False}),
        line("e1", AT, is_test="perhaps"),
        b"{}",
    ],
)
def test_without_id_key_or_readable_time_a_line_is_incomplete(raw: bytes) -> None:
    assert fate(raw) == ["incomplete"]


@pytest.mark.parametrize(
    ("occurred_at", "received_at", "expected"),
    [
        ("1999-12-31T23:59:59.9999999Z", None, "implausible"),
        ("2000-01-01T00:00:00Z", None, "counted"),
        ("2099-12-31T23:59:59.9999999Z", None, "counted"),
        ("2100-01-01T00:00:00Z", None, "implausible"),
        # A day after it was received is allowed, a microsecond more is not.
        ("2025-12-24T12:00:00Z", "2025-12-23T12:00:00Z", "counted"),
        ("2025-12-24T12:00:00.000001Z", "2025-12-23T12:00:00Z", "implausible"),
        ("2025-12-24T13:00:00+01:00", "2025-12-23T12:00:00Z", "counted"),
        # Received long after: late, not implausible. Unreadable: as if it were not there.
        ("2025-12-24T12:00:00Z", "2031-01-01T00:00:00Z", "counted"),
        ("2025-12-24T12:00:00Z", "the other day", "counted"),
    ],
)
def test_a_time_out_of_range_is_implausible(occurred_at: str, received_at: str | None, expected: str) -> None:
    assert fate(success("e1", occurred_at, received_at=received_at)) == [expected]


def test_what_cannot_be_read_holds_no_id() -> None:
    refused = success("e1", "2100-01-01T00:00:00Z", received_at="2025-01-01T00:00:00Z")
    assert fate(refused, success("e1", AT, received_at="2025-12-24T00:00:00Z")) == ["implausible", "counted"]


def test_the_earliest_received_wins_and_absent_is_latest() -> None:
    late = success("e1", AT, received_at="2025-12-23T13:00:00Z")
    early = failure("e1", AT, received_at="2025-12-23T12:30:00Z")
    unknown = failure("e1", AT, user_id="grace")
    assert fate(unknown, late, early) == ["conflict", "conflict", "counted"]
    assert fate(unknown, late) == ["conflict", "counted"]


def test_then_the_smallest_content_wins_absent_first() -> None:
    # occurred_at comes first, though event_key alone would choose the other.
    assert fate(success("e1", AT), account("e1", "2025-12-23T12:00:01Z")) == ["counted", "conflict"]
    # event_key: "account_created" < "test_finished".
    assert fate(success("e1", AT), account("e1", AT)) == ["conflict", "counted"]
    # service_key: absent before "app"; then session_id "9" before "a" (by code point, not by language).
    assert fate(success("e1", AT, service_key="app"), success("e1", AT)) == ["conflict", "counted"]
    assert fate(success("e1", AT, session_id="a"), success("e1", AT, session_id="9")) == [
        "conflict",
        "counted",
    ]
    assert fate(success("e1", AT, session_id="a"), success("e1", AT, session_id="B")) == [
        "conflict",
        "counted",
    ]
    # status: "error" < "success"; error_code after status.
    assert fate(success("e1", AT), failure("e1", AT, error_code="z")) == ["conflict", "counted"]
    # is_test: not flagged before flagged.
    assert fate(success("e1", AT, is_test=True), success("e1", AT)) == ["conflict", "counted"]
    # user: absent first.
    assert fate(success("e1", AT), success("e1", AT, user_id=None)) == ["conflict", "counted"]


def test_copies_are_duplicates_whatever_their_delivery() -> None:
    first = success("e1", AT, received_at="2025-12-23T12:00:01Z")
    later = success(
        " e1 ", "2025-12-23T13:00:00+01:00", received_at="2026-12-23T12:00:00Z", event_name="Other"
    )
    assert fate(first, later, first) == ["counted", "duplicate", "duplicate"]


def test_numbers_and_texts_are_one_id() -> None:
    same = [b"7", b"7.0", b"7e0", b'"7"', b'" 7\\t"']
    raw = [
        b'{"event_id": %s, "event_key": "test_finished", "status": "success", ' % number for number in same
    ]
    found = fates(settled(*(start + b'"occurred_at": "2025-12-23T12:00:00Z"}' for start in raw)), ROLES)
    assert Counter(found.values()) == {"counted": 1, "duplicate": 4}


def test_an_id_stays_settled_when_its_winner_is_left_out() -> None:
    flagged = success("e1", AT, is_test="YES", received_at=AT)
    correction = success("e1", AT, received_at="2025-12-23T12:00:01Z")
    assert fate(flagged, correction) == ["flagged", "conflict"]


def test_the_first_reason_to_leave_a_winner_out_is_its_fate() -> None:
    assert fate(line("e1", AT, event_key="page_view", is_test=True)) == ["flagged"]
    assert fate(line("e1", AT, event_key="page_view")) == ["no_role"]
    assert fate(line("e1", AT, event_key="Test_Finished", status="success")) == ["no_role"]
    assert fate(line("e1", AT)) == ["bad_status"]
    assert fate(line("e1", AT, status="Success")) == ["bad_status"]
    assert fate(account("e1", AT, user_id=" ")) == ["no_user"]
    assert fate(account("e1", AT, status="nonsense")) == ["counted"]
    assert fate(success("e1", AT, user_id=None)) == ["counted"]


def test_metadata_comes_before_the_top_level() -> None:
    nested = {"session_id": 3, "status": "error", "error_code": "dark"}
    [event] = counted(settled(success("e1", AT, session_id="top", metadata=nested)), ROLES)
    assert (event.session_id, event.is_success, event.error_code) == ("3", False, "dark")
    [event] = counted(settled(success("e1", AT, session_id="top", metadata={})), ROLES)
    assert (event.session_id, event.is_success, event.error_code) == ("top", True, None)


def test_the_pseudonym_decides_between_arrivals_that_differ_in_their_user_alone() -> None:
    # Which of the two a key prefers is chance; that the order of the lines does not matter is promised.
    pair = [success("e1", AT, user_id="ada"), success("e1", AT, user_id="grace")]
    winners = set()
    for key in (b"%d" % number for number in range(20)):
        forward = settle(lines_of("a", b"\n".join(pair)), key).winners["e1"].content.user_id
        backward = settle(lines_of("a", b"\n".join(reversed(pair))), key).winners["e1"].content.user_id
        assert forward == backward
        winners.add(forward)
    assert winners == {"ada", "grace"}


def test_blank_lines_are_no_lines_and_keep_the_numbers() -> None:
    found = lines_of("a.jsonl", b"\n{}\r\n \t\r\n{}")
    assert [(place.number, place.raw) for place in found] == [(2, b"{}\r"), (4, b"{}")]


def test_quarantine_holds_what_cannot_be_read_and_conflicts() -> None:
    raw = [b"nonsense", b"{}", success("e1", AT), success("e1", AT), failure("e1", AT), line("e2", AT)]
    held = quarantine(settled(*raw))
    assert sorted((place.number, reason) for place, reason in held.items()) == [
        (1, "malformed"),
        (2, "incomplete"),
        (3, "conflict"),
        (4, "conflict"),
    ]
