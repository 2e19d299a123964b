"""The real pipeline reads every line as the reference does, whatever stands in it."""

import datetime as dt
import hmac
import json
from pathlib import Path

import pytest
from marts_support import USER_KEY, Company
from reference.lines import Arrival, pseudonym, read
from strategies import CLOCKS, laid_out, large_history

AT = "2025-01-01T00:00:00Z"

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
"""A line as it was stored: why it was left out, or event_id, occurred_at, event_key, service_key, session_id, status,
error_code, is_test, user_key, received_at (instants in microseconds)."""
Stored = tuple[object, ...]


def line(**tokens: str | None) -> bytes:
    """An event whose fields stand in the line as they are given; None leaves one out."""
    fields: dict[str, str | None] = {"event_id": '"e"', "event_key": '"key"', "occurred_at": f'"{AT}"'}
    pairs = (f'"{name}": {token}' for name, token in (fields | tokens).items() if token is not None)
    return f"{{{', '.join(pairs)}}}".encode()


def odd_texts() -> list[bytes]:
    texts = [
        *(
            "\x1cx\x1c",
            "\x85x",
            "\u200bx",
            "\ufeffx",
            "\u2028x",
            "\u3000x\u3000",
            "x\0y",
            "\x7fx",
            "\0",
            " ",
            "\u00a0",
        ),
        *(
            "e\u0301",
            "\u212b",
            "\u1e9b\u0323",
            "\u1112\u1161\u11ab",
            "\U0001d15e",
            "\U0001f600",
            "\ud7ff",
            "x" * 5000,
        ),
        *(
            "\U0001f600" * 128,
            "\U0001f600" * 129,
            "e\u0301" * 128,
            "a@b",
            "\uff20",
            "x" * 64,
            "x" * 65,
            "-1.5",
            "7.0",
        ),
    ]
    names = ("event_id", "user_id", "event_key", "service_key", "session_id", "status", "error_code")
    spellings = [json.dumps(text) for text in texts] + [
        json.dumps(text, ensure_ascii=False) for text in texts
    ]
    return [line(**{name: spelling}) for name in names for spelling in spellings]


def odd_numbers() -> list[bytes]:
    numbers = [
        "7.0",
        "70e-1",
        "-0",
        "-0.0",
        "1e22",
        "1E+2",
        "1e-0",
        "-7.50",
        "1e99",
        "9" * 300,
        "0.1234567890123456789",
    ]
    return [
        line(**{name: number})
        for number in numbers
        for name in ("event_id", "user_id", "event_key", "status")
    ]


def odd_types() -> list[bytes]:
    tokens = ("true", "false", "[]", "{}", '["a"]', '{"a": 1}', "null", '""')
    names = ("event_id", "user_id", "event_key", "service_key", "session_id", "status", "error_code")
    times = ("occurred_at", "received_at", "is_test", "metadata")
    nested = [
        line(metadata=f'{{"{name}": {token}}}', **{name: top})
        for name in ("session_id", "status", "error_code", "user_id", "is_test")
        for token in (*tokens, "7", '"below"')
        for top in (None, '"yes"')
    ]
    return [line(**{name: token}) for name in (*names, *times) for token in tokens] + nested


def odd_times() -> list[bytes]:
    times = [
        *(
            "0000-06-30T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59Z",
            "2000-01-01T00:00:00+00:01",
            "1999-12-31T23:59:59-00:01",
        ),
        *(
            "2099-12-31T23:59:59.9999999Z",
            "2025-01-01T00:00:00.123456789012345678901234567890Z",
            "2025-01-01",
        ),
        *(
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00,1Z",
            "2025-01-01T00:00:00+24:00",
            "2025-01-01T00:00:00+23:59",
        ),
        *(
            "2025-01-01T00:00:00+0100",
            "2025-01-01T00:00:00+01",
            "2025-01-01 00:00:00 Z",
            "2025-01-01  00:00:00",
        ),
        *(
            "2025-1-1T00:00:00Z",
            "2025-01-01T00:00Z",
            "2025-02-29T00:00:00Z",
            "2024-02-29T00:00:00Z",
            "infinity",
        ),
        *(
            "2025-04-31T00:00:00Z",
            "2025-01-01T23:59:60Z",
            "2025-01-01T24:00:00Z",
            "20250101T000000Z",
            "now",
            "epoch",
        ),
        *(
            "+2025-01-01T00:00:00Z",
            "2025-01-01t00:00:00z",
            "2025-01-01_00:00:00Z",
            "2025-01-01T00:00:00\u221201:00",
        ),
        *("\uff12025-01-01T00:00:00Z", "2025-W01-1T00:00:00Z", "1735689600", "2025-00-10T00:00:00Z"),
        *("2025-01-01T00:00:00+00:60", "2025-01-01T00:00:00-00:00", "2025-01-01T00:00:00.1+05:30"),
        # A day before the event, which is allowed, and a little more, of which only microseconds count.
        *("2024-12-31T00:00:00Z", "2024-12-30T23:59:59.999999Z", "2024-12-31T00:00:00.0000009Z"),
    ]
    names = ("occurred_at", "received_at")
    return [line(**{name: json.dumps(time)}) for name in names for time in times]


def odd_flags() -> list[bytes]:
    tokens = (
        *(
            '"TRUE"',
            '"tRuE"',
            '"yes"',
            '"Yes "',
            '" 1 "',
            '"1.0"',
            "1.0",
            "1e0",
            "0.0",
            "-0",
            "2",
            "1.5",
            '"2"',
            '"y"',
        ),
        *('"on"', '"null"', '"no\\u0000"', '"\\u0130"', '"ye\u017f"', '"\\u3000"', '"0"', '"No"', '"false"'),
    )
    return [line(is_test=token) for token in tokens]


def odd_json() -> list[bytes]:
    values = [
        *(
            "NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e5",
            "0x10",
            "-",
            "'a'",
            '"\\x41"',
        ),
        *(
            '"\\u12"',
            '"\\ud800"',
            '"\\ud83d\\ude00"',
            '"a\tb"',
            '"a\x7fb"',
            '"\\/"',
            '"\\a"',
            "tru",
            "True",
            "None",
        ),
        *(
            "[1,]",
            "[,1]",
            '{"a": 1,}',
            "{a: 1}",
            "/* */ 1",
            "[1 2]",
            '{"a": 1, "a": 2}',
            '[{"a": 1, "a": 2}]',
        ),
        *('{"a": 1, "\\u0061": 2}', '1, "note": 2', "1e999999", "9" * 6000, "[" * 50 + "]" * 50),
    ]
    plain = line()
    around = [
        plain + b" x",
        plain + b",",
        plain + plain,
        plain + b"\0",
        plain[:-1],
        b" \t" + plain + b" \t\r",
    ]
    around += [
        b"\x0b" + plain,
        b"\xc2\xa0" + plain,
        b"[]",
        b"[{}]",
        b'""',
        b"1",
        b"null",
        b"{}",
        b'{"": 1, "": 2}',
        b"\0",
    ]
    bytes_ = [b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98\x80"]
    names = [line(event_id=None, Event_ID='"x"'), line(EVENT_ID='"x"'), line(metadata='{"STATUS": "x"}')]
    names += [line(metadata='{"stat\\u0075s": "success"}'), line(event_id=None, **{"event\\u005fid": '"x"'})]
    return [
        *(line(note=value) for value in values),
        *around,
        *(line(note='"here"').replace(b"here", found) for found in bytes_),
        *names,
    ]


def stored(company: Company) -> dict[tuple[str, int], Stored]:
    """File and number of every line -> what the raw tables hold of it."""
    query = """
        select source_file, line_number, event_id, occurred_at, event_key, service_key, session_id, status, error_code,
            is_test, user_key, received_at
        from raw_events.events
    """
    with company.warehouse.reader() as connection:
        quarantine = connection.execute(
            "select source_file, line_number, reason from raw_events.quarantine"
        ).fetchall()
        events = connection.execute(query).fetchall()
    found: dict[tuple[str, int], Stored] = {(file, number): (reason,) for file, number, reason in quarantine}
    for file, number, event_id, occurred_at, *content, received_at in events:
        assert (file, number) not in found
        found[file, number] = (event_id, microseconds(occurred_at), *content, microseconds(received_at))
    return found


def microseconds(instant: dt.datetime | None) -> int | None:
    return None if instant is None else (instant - EPOCH) // dt.timedelta(microseconds=1)


def as_stored(text: str | None) -> str | None:
    """An id with an @, with white space inside or of more than 128 characters is stored as a keyed hash."""
    if text is None or (len(text) <= 128 and "@" not in text and not any(sign.isspace() for sign in text)):
        return text
    return "hmac-" + hmac.digest(USER_KEY.encode(), b"id\0" + text.encode(), "sha256").hex()


def expected(arrival: Arrival | str) -> Stored:
    if isinstance(arrival, str):
        return (arrival,)
    content = arrival.content
    return (
        as_stored(arrival.event_id),
        content.occurred_at,
        content.event_key,
        content.service_key,
        as_stored(content.session_id),
        content.status,
        content.error_code,
        content.is_test,
        pseudonym(content.user_id, USER_KEY.encode()),
        arrival.received_at,
    )


def assert_read_as_the_reference_reads(company: Company) -> None:
    found = stored(company)
    for place in company.lines():
        assert found.pop((place.file, place.number), None) == expected(read(place)), place
    assert found == {}


def test_odd_lines_are_read_as_the_reference_reads_them(tmp_path: Path) -> None:
    company = Company(tmp_path, "UTC")
    files = {
        "texts.jsonl": odd_texts(),
        "numbers.jsonl": odd_numbers(),
        "types.jsonl": odd_types(),
        "times.jsonl": odd_times(),
        "flags.jsonl": odd_flags(),
        "json.jsonl": odd_json(),
    }
    company.receive({name: b"\n".join(lines) for name, lines in files.items()})
    assert_read_as_the_reference_reads(company)


@pytest.mark.parametrize("seed", range(3))
def test_hard_histories_are_read_as_the_reference_reads_them(seed: int, tmp_path: Path) -> None:
    company = Company(tmp_path, "UTC")
    company.receive(laid_out(large_history(CLOCKS[seed], seed, events=2000).lines, seed))
    assert_read_as_the_reference_reads(company)
