"""What becomes of each line of an event file."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from events_support import event, fates, load, load_lines, rows, warehouse_in

from pipelines.errors import KpiError, SettingError
from pipelines.sources.events import canonical
from pipelines.warehouse import environment


def stored(folder: Path, columns: str) -> list[tuple[Any, ...]]:
    return rows(folder, f"select {columns} from events order by line_number")


def test_a_plain_line_becomes_an_event_with_pseudonyms(tmp_path: Path) -> None:
    report = load_lines(tmp_path, [event(received_at="2026-03-01T10:00:01Z", is_test=False)])
    assert report.rows == {"events": 1, "quarantine": 0, "files": 1}
    [row] = rows(tmp_path, "select * exclude (loaded_at, _dlt_load_id, user_key, record_key) from events")
    moment = dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)
    assert row[:4] == ("e1", "test_completed", "app", "s1")
    assert row[4:7] == ("success", None, False)
    assert [value.astimezone(dt.UTC) for value in row[7:9]] == [moment, moment + dt.timedelta(seconds=1)]
    assert row[9:] == ("a.jsonl", 1)
    [(user_key, record_key)] = stored(tmp_path, "user_key, record_key")
    assert len(user_key) == 64
    assert 0 <= record_key < 1 << 60


def test_a_bad_line_in_the_middle_stops_nothing_and_is_quarantined_by_line_number(tmp_path: Path) -> None:
    bad = [
        b"{broken",
        b"[1]",
        b'{"event_id": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": [{"c": 1, "c": 2}]}}',
        b"\xff",
    ]
    bad += [b'{"a": "\\ud800"}', b'{"a": 1,}', b'{"a": 01}', b"\xef\xbb\xbf{}"]
    report = load_lines(tmp_path, [event(1), b"", *bad, b" \t", event(2)])
    assert stored(tmp_path, "event_id, line_number") == [("e1", 1), ("e2", 14)]
    assert fates(tmp_path) == [(number, "malformed", None) for number in range(3, 13)]
    assert rows(tmp_path, "select lines, events, quarantined from files") == [(12, 2, 10)]
    assert report.notes == ["events: a.jsonl: 10 malformed left out into quarantine, first lines: 3, 4, 5."]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_id": None}, "event_id"),
        ({"event_id": " "}, "event_id"),
        ({"event_id": True}, "event_id"),
        ({"event_id": {"a": 1}}, "event_id"),
        ({"event_key": []}, "event_key"),
        ({"event_key": ""}, "event_key"),
        ({"service_key": False}, "service_key"),
        ({"user_id": [7]}, "user_id"),
        ({"occurred_at": None}, "occurred_at"),
        ({"occurred_at": 1_700_000_000}, "occurred_at"),
        ({"occurred_at": "2026-03-01T10:00:60Z"}, "occurred_at"),
        ({"occurred_at": "2026-03-01T24:00:00Z"}, "occurred_at"),
        ({"occurred_at": "2026-03-01T10:00:00+01"}, "occurred_at"),
        ({"is_test": "maybe"}, "is_test"),
        ({"is_test": 2}, "is_test"),
        ({"metadata": {"session_id": {}}}, "session_id"),
        ({"metadata": {"note": "x" * 65_536}}, "metadata"),
    ],
)
def test_a_line_without_what_it_needs_is_incomplete(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    content = {name: value for name, value in (event() | changes).items() if value is not None}
    load_lines(tmp_path, [content, event(2)])
    assert fates(tmp_path) == [(1, "incomplete", field)]


def test_metadata_of_64_kib_is_taken_and_a_byte_more_is_not(tmp_path: Path) -> None:
    empty = len('{"note":""}')
    fitting = {"note": "é" * ((65_536 - empty) // 2) + "x"}
    assert canonical.compact_size(fitting) == 65_536
    load_lines(tmp_path, [event(1, metadata=fitting), event(2, metadata={"note": fitting["note"] + "x"})])
    assert fates(tmp_path) == [(2, "incomplete", "metadata")]


def test_implausible_moments_are_left_out_exactly_at_the_boundaries(tmp_path: Path) -> None:
    load_lines(
        tmp_path,
        [
            event(1, occurred_at="1999-12-31T23:59:59.999999Z"),
            event(2, occurred_at="2000-01-01T00:00:00Z"),
            event(3, occurred_at="2099-12-31T23:59:59.999999Z"),
            event(4, occurred_at="2100-01-01T00:00:00Z"),
            event(5, occurred_at="2100-01-01T00:30:00+01:00"),
            event(6, occurred_at="2026-03-02T10:00:00Z", received_at="2026-03-01T10:00:00Z"),
            event(7, occurred_at="2026-03-02T10:00:00.000001Z", received_at="2026-03-01T10:00:00Z"),
            event(8, occurred_at="2026-03-02T10:00:00Z", received_at="nonsense"),
            # Readable, though no warehouse could store them.
            event(9, occurred_at="0000-06-30T10:00:00Z"),
            event(10, occurred_at="0001-01-01T00:00:00+00:01"),
            event(11, occurred_at="9999-12-31T23:59:59-00:01"),
            event(12, occurred_at="2026-03-02T10:00:00Z", received_at="0000-06-30T10:00:00Z"),
        ],
    )
    assert fates(tmp_path) == [(number, "implausible", "occurred_at") for number in (1, 4, 7, 9, 10, 11, 12)]
    assert rows(tmp_path, "select received_at from events where line_number = 8") == [(None,)]


def test_ids_have_one_form_whatever_they_came_as(tmp_path: Path) -> None:
    head = b'{"event_key": "k", "occurred_at": "2026-03-01T10:00:00Z", "event_id": '
    forms = [
        b"7",
        b"7.0",
        b'" 7 "',
        b"70e-1",
        b"12345678901234567890123",
        '"e\u0301"'.encode(),
        '"\u00e9"'.encode(),
    ]
    load_lines(tmp_path, [head + form + b', "user_id": ' + form + b"}" for form in forms])
    found = stored(tmp_path, "event_id")
    assert found == [("7",), ("7",), ("7",), ("7",), ("12345678901234567890123",), ("\u00e9",), ("\u00e9",)]
    assert rows(tmp_path, "select count(distinct user_key), count(distinct record_key) from events") == [
        (3, 3)
    ]


def test_an_absent_user_stays_absent(tmp_path: Path) -> None:
    load_lines(tmp_path, [event(1, user_id=None), event(2, user_id="  "), event(3) | {"user_id": None}])
    assert stored(tmp_path, "user_key, record_key") == [(None, None)] * 3


def test_test_flags_are_read_in_every_spelling(tmp_path: Path) -> None:
    spellings = [True, 1, 1.0, "true", "YES", "1", False, 0, "No", "false", "", None]
    load_lines(tmp_path, [event() | {"is_test": spelling} for spelling in spellings])
    assert [flag for (flag,) in stored(tmp_path, "is_test")] == [True] * 6 + [False] * 6


def test_codes_and_keys_that_could_be_free_text_are_not_stored(tmp_path: Path) -> None:
    load_lines(
        tmp_path,
        [
            event(1, metadata={"status": "error", "error_code": "jane failed"}),
            event(2, metadata={"status": {"a": 1}, "error_code": "x" * 65}),
            event(3, event_key="jane@example.com", service_key="x" * 129),
            event(4, event_key="Test completed", service_key="x" * 128),
        ],
    )
    unprintable = "(unprintable)"
    assert stored(tmp_path, "event_key, service_key, status, error_code") == [
        ("test_completed", "app", "error", unprintable),
        ("test_completed", "app", unprintable, unprintable),
        (unprintable, unprintable, "success", None),
        ("Test completed", "x" * 128, "success", None),
    ]


def test_metadata_comes_before_the_top_level(tmp_path: Path) -> None:
    load_lines(
        tmp_path,
        [
            event(1, session_id="top", metadata={"session_id": "inner"}),
            event(2, session_id="top", metadata={"session_id": " "}),
            event(3, session_id="top", metadata=None),
            event(4, session_id="top", metadata='{"session_id": "text"}'),
        ],
    )
    assert stored(tmp_path, "session_id") == [("inner",), ("top",), ("top",), ("text",)]


def test_unknown_fields_are_dropped_and_counted(tmp_path: Path) -> None:
    report = load_lines(
        tmp_path,
        [
            event(1, email="jane@example.com"),
            event(2),
            event(3, metadata={"ip": "10.1.2.3"}) | {"bad name": 1},
        ],
    )
    assert rows(tmp_path, "select unknown_fields, unknown_field_names from files") == [
        (2, "email,metadata.ip")
    ]
    assert any("unknown fields" in note and "email" in note for note in report.notes)


def test_line_ends_of_windows_a_byte_order_mark_and_a_last_line_without_end_are_fine(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    content = b"\xef\xbb\xbf" + json.dumps(event(1)).encode() + b"\r\n\r\n" + json.dumps(event(2)).encode()
    (tmp_path / "in" / "a.jsonl").write_bytes(content)
    load(tmp_path)
    assert stored(tmp_path, "event_id, line_number") == [("e1", 1), ("e2", 3)]


def test_a_line_that_is_far_too_long_is_malformed(tmp_path: Path) -> None:
    long = json.dumps(event(2, name="x" * (40 << 20))).encode()
    load_lines(tmp_path, [event(1), long, event(3)])
    assert fates(tmp_path) == [(2, "malformed", None)]
    assert stored(tmp_path, "event_id, line_number") == [("e1", 1), ("e3", 3)]


def test_ordinary_lines_never_reach_the_slow_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a plain line was read by the slow reader")

    monkeypatch.setattr(canonical, "read_line", refuse)
    ordinary = [
        event(number, user_id=f"u{number % 5}")
        if number % 3
        else event(number, metadata=None, is_test=True, other={"a": {"b": 1}})
        for number in range(1000)
    ]
    assert load_lines(tmp_path, ordinary).rows["events"] == 1000


@pytest.mark.parametrize(
    ("preset", "content"),
    [
        (
            "directus",
            {
                "id": 5,
                "key": "k",
                "user": "7",
                "timestamp": "2026-03-01T10:00:00",
                "service": "app",
                "name": "n",
            }
            | {"metadata": {"session_id": "s", "status": "success", "is_test": "yes"}},
        ),
        (
            "segment",
            {"messageId": "5", "event": "k", "anonymousId": 7, "timestamp": "2026-03-01T11:00:00+01:00"}
            | {"userId": None, "properties": {"session_id": "s", "status": "success", "is_test": True}}
            | {"context": {"page": {"path": "/secret"}}},
        ),
    ],
)
def test_presets_lead_to_the_same_event(tmp_path: Path, preset: str, content: dict[str, Any]) -> None:
    load_lines(tmp_path, [content], SOURCES__EVENTS__PRESET=preset)
    columns = "event_id, event_key, session_id, status, is_test, epoch_us(occurred_at)"
    assert stored(tmp_path, columns) == [("5", "k", "s", "success", True, 1_772_359_200_000_000)]
    with_native = tmp_path / "native"
    with_native.mkdir()
    (tmp_path / "w.keys.toml").rename(with_native / "w.keys.toml")
    load_lines(with_native, [event(user_id=7)])
    assert stored(tmp_path, "user_key") == stored(with_native, "user_key")


def test_single_fields_of_a_preset_can_be_mapped_elsewhere(tmp_path: Path) -> None:
    content = event(user_id=None, account={"id": 7}, other_id="o")
    mapping = json.dumps({"user_id": "account.id", "event_id": ["missing", "other_id"]})
    load_lines(tmp_path, [content], SOURCES__EVENTS__MAPPING=mapping)
    assert rows(tmp_path, "select event_id, user_key is not null from events") == [("o", True)]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"SOURCES__EVENTS__PRESET": "nonsense"}, "nonsense"),
        ({"SOURCES__EVENTS__MAPPING": '{"nonsense": "a"}'}, "nonsense"),
        ({"SOURCES__EVENTS__MAPPING": '{"event_key": ""}'}, "event_key"),
        ({"SOURCES__EVENTS__MAPPING": '{"event_key": "a..b"}'}, "event_key"),
        ({"SOURCES__EVENTS__PATH": "/does/not/exist"}, "/does/not/exist"),
        ({"SOURCES__EVENTS__PATH": ""}, "SOURCES__EVENTS__PATH"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(SettingError) as raised:
        load(tmp_path, **settings)
    assert named in str(raised.value)


def test_another_user_key_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    load_lines(tmp_path, [event(1)])
    with pytest.raises(KpiError, match="user key"):
        load_lines(tmp_path, [event(2)], KPI_USER_KEY="u" * 40, KPI_RECORD_KEY="r" * 40)
    assert stored(tmp_path, "event_id") == [("e1",)]
    keys_file = warehouse_in(tmp_path).keys_file
    assert keys_file.stat().st_mode & 0o777 == 0o600
    with environment(KPI_USER_KEY=""):
        load_lines(tmp_path, [event(3)])


def test_ids_that_could_be_addresses_or_free_text_are_stored_as_hashes(tmp_path: Path) -> None:
    odd = ["jane@example.com", "my first session", "x" * 129]
    plain = ["a.b:c/d", "x" * 128]
    names = [*odd, *plain]
    load_lines(
        tmp_path, [event(event_id=name, metadata={"session_id": name, "status": "success"}) for name in names]
    )
    found = stored(tmp_path, "event_id, session_id")
    assert [pair[0] for pair in found] == [pair[1] for pair in found]
    assert [name for name, _ in found[3:]] == plain
    assert all(name.startswith("hmac-") and len(name) == 69 for name, _ in found[:3])
    assert len(set(found)) == len(names)
