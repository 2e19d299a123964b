"""The columnar reader and the definition, line by line, must give the same answer on every line."""

import json
from typing import Any

import numpy as np
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.privacy.identity import Keys
from pipelines.sources.events import canonical
from pipelines.sources.events.blocks import Block
from pipelines.sources.events.canonical import Refused
from pipelines.sources.events.columns import LineReader
from pipelines.sources.events.instants import instant
from pipelines.sources.events.mapping import read_mapping
from pipelines.sources.events.rows import event_table
from pipelines.sources.events.users import Users

KEYS = Keys(b"u" * 32, b"r" * 32)
MAPPINGS = {preset: read_mapping(preset, {}) for preset in ("native", "directus", "segment")}
READERS = {preset: LineReader(mapping, KEYS, Users(KEYS)) for preset, mapping in MAPPINGS.items()}

texts = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "x",
            " x ",
            "true",
            "YES",
            "0",
            "é",
            "é",
            "a@b",
            "a\x00b",
            "\u2028",
            "x" * 129,
            "-0",
            "{}",
            "[]",
            '{"status": "error"}',
            '{"status": 1, "status": 2}',
            "NaN",
            "inf",
            ", ]",
            "İ",
            "ﬁ",
            "\xa0x",
            "\x1fx",
            "\x7f",
        ]
    ),
    st.text(max_size=8),
)
moments = st.one_of(
    st.sampled_from(
        [
            "2026-03-01T10:00:00Z",
            "2026-03-01t10:00:00.1234567z",
            "2026-03-01 10:00:00",
            "2026-02-29T00:00:00Z",
            "2024-02-29T23:59:59.999999+23:59",
            "2026-03-01T24:00:00Z",
            "2026-03-01T10:00:60Z",
            "2026-03-01T10:00:00+0100",
            "1999-12-31T23:59:59.999999Z",
            "2000-01-01T00:00:00Z",
            "2100-01-01T00:00:00Z",
            "2099-12-31T23:59:59.999999Z",
            "2026-03-01T10:00:00-00:00",
            "2026-03-01T10:00:00.Z",
            "2026-03-01",
            "0000-01-01T00:00:00Z",
            "٢026-03-01T10:00:00Z",
            "2026-13-01T10:00:00Z",
            "2026-00-10T10:00:00Z",
            "2026-03-01T10:00Z",
            "9999-12-31T23:59:59-10:00",
            "2000-01-01T00:30:00+01:00",
            "2026-02-28T10:00:00Z",
            "2026-02-28T09:59:59.999999Z",
            "2026-03-01T10:00:00+24:00",
            "2026-03-01T10:00:00+01:60",
        ]
    ),
    st.from_regex(
        r"\A20[0-9]{2}-(0[0-9]|1[0-9])-[0-3][0-9][Tt ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,10})?([Zz]|[+-][0-2][0-9]:[0-6][0-9])?\Z"
    ),
)
numbers = st.sampled_from(
    [
        "7",
        "7.0",
        "-0",
        "0",
        "-7",
        "1e2",
        "1.5",
        "12345678901234567890123",
        "1e400",
        "0.1e-5",
        "9" * 120,
        "1E+99999999999999999999",
        "18446744073709551615",
        "-9223372036854775809",
        "7.00000000000000000001",
        "01",
        "+1",
        "NaN",
        "-Infinity",
        "nan",
        "Inf",
    ]
)


def _json(value: Any, draw: Any) -> str:
    ascii_only: bool = draw(st.booleans())
    text: str = json.dumps(value, ensure_ascii=ascii_only)
    return text


@st.composite
def values(draw: Any, depth: int = 2) -> str:
    kind = draw(st.integers(0, 9))
    if kind <= 3:
        return _json(draw(texts), draw)
    if kind <= 5:
        return str(draw(numbers))
    if kind == 6:
        return str(draw(st.sampled_from(["true", "false", "null"])))
    if kind == 7 and depth:
        comma = draw(st.sampled_from(["", "", "", ",", " ,\t"]))
        inside: list[str] = draw(st.lists(values(depth - 1), max_size=2))
        return f"[{','.join(inside)}{comma}]"
    if depth:
        return str(draw(objects(depth - 1, ["status", "a", "is_test", "session_id"])))
    return "1"


@st.composite
def objects(draw: Any, depth: int, names: list[str]) -> str:
    pairs = [
        f"{json.dumps(name)}{draw(st.sampled_from([':', ' : ']))}{draw(values(depth))}"
        for name in draw(st.lists(st.sampled_from(names), max_size=4))
    ]
    joined: str = draw(st.sampled_from([",", ", ", ",  "])).join(pairs)
    ending: str = draw(st.sampled_from(["", "", "", "", ","]))
    return "{" + joined + ending + "}"


FIELDS = {
    "native": [
        "event_id",
        "event_key",
        "service_key",
        "user_id",
        "occurred_at",
        "received_at",
        "is_test",
        "metadata",
        "session_id",
        "status",
        "error_code",
    ],
    "directus": ["id", "key", "service", "user", "timestamp", "is_test", "metadata", "status"],
    "segment": [
        "messageId",
        "event",
        "userId",
        "anonymousId",
        "timestamp",
        "receivedAt",
        "properties",
        "context",
        "is_test",
    ],
}
INSTANTS = {"occurred_at", "received_at", "timestamp", "receivedAt"}
OBJECTS = {"metadata", "properties", "context"}


@st.composite
def event_lines(draw: Any, preset: str) -> bytes:
    fields: dict[str, str] = {}
    for name in FIELDS[preset]:
        chance = draw(st.integers(0, 9))
        if name in INSTANTS:
            fields[name] = _json(draw(moments), draw) if chance else draw(values())
        elif name in OBJECTS:
            inside = ["session_id", "status", "error_code", "is_test", "other", "İ"]
            fields[name] = draw(objects(1, inside)) if chance else draw(values())
        elif chance < 7:
            fields[name] = _json(draw(texts), draw) if chance < 3 else f'"plain{chance}"'
        elif chance < 9:
            fields[name] = draw(values())
    pairs = [f"{json.dumps(name)}: {value}" for name, value in fields.items()]
    extra = draw(st.integers(0, 19))
    if extra == 0 and pairs:
        pairs.append(pairs[0])
    elif extra == 1:
        pairs.append(f'"other": {draw(values())}')
    elif extra == 2:
        pairs.append('"\\u0065vent_id": 1')
    line = "{" + ", ".join(pairs) + "}"
    if extra == 3:
        line = draw(st.sampled_from(["\ufeff", " ", "//", "\x00", "["])) + line
    elif extra == 4:
        line += draw(st.sampled_from([" ", "}", "x", "{}", "\x0c", ","]))
    elif extra == 5:
        cut = draw(st.integers(0, len(line)))
        line = line[:cut]
    encoded = line.encode("utf-8", "surrogatepass").replace(b"\n", b" ")
    if extra == 6:
        at = draw(st.integers(0, len(encoded)))
        encoded = (
            encoded[:at]
            + draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\"]))
            + encoded[at:]
        )
    return encoded


def by_definition(lines: list[bytes], preset: str) -> tuple[Any, Any, Any]:
    events, numbers, refused, unknown = [], [], [], 0
    for number, line in enumerate(lines, 1):
        if canonical.is_blank(line):
            continue
        try:
            event = canonical.read_line(line, MAPPINGS[preset])
        except Refused as refusal:
            refused.append((number, refusal.reason, refusal.field))
            continue
        unknown += bool(event.unknown)
        events.append(event)
        numbers.append(number)
    return event_table(events, numbers, KEYS, Users(KEYS)).to_pylist(), refused, unknown


def in_columns(lines: list[bytes], preset: str) -> tuple[Any, Any, Any]:
    data = b"".join(line + b"\n" for line in lines)
    offsets = np.cumsum([0, *(len(line) + 1 for line in lines)]).astype(np.int32)
    block = Block(bytearray(data), offsets, 1)
    reader = READERS[preset]
    outcome = reader.read(block)
    found = [row for table in outcome.events for row in table.to_pylist()]
    refused = [(line.line_number, line.reason, line.field) for line in outcome.rejected]
    return sorted(found, key=lambda row: row["line_number"]), refused, outcome.unknown_lines


def held_together(lines: list[bytes], preset: str) -> None:
    assert in_columns(lines, preset) == by_definition(lines, preset)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(sorted(FIELDS)).flatmap(
        lambda preset: st.tuples(st.lists(event_lines(preset), max_size=6), st.just(preset))
    )
)
@example(
    (
        [b'{"event_id": "a", "event_key": "k", "occurred_at": "2026-03-01T10:00:00Z", "metadata": null}'],
        "native",
    )
)
@example(
    (
        [
            b'{"event_id": "a{", "event_key": "k", "occurred_at": "2026-03-01T10:00:00Z", "x": [{"a": 1, "a": 2}]}'
        ],
        "native",
    )
)
def test_both_readers_agree_on_any_line(case: tuple[list[bytes], str]) -> None:
    held_together(*case)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(moments, st.text(max_size=30)), min_size=1, max_size=20))
def test_both_readers_agree_on_instants(found: list[str]) -> None:
    head = '{"event_id": "e", "event_key": "k", "occurred_at": "2026-03-01T10:00:00Z", "received_at": '
    held_together([(head + json.dumps(text) + "}").encode() for text in found], "native")
    head = '{"event_id": "e", "event_key": "k", "occurred_at": '
    held_together([(head + json.dumps(text) + "}").encode() for text in found], "native")


def test_an_instant_is_read_to_the_microsecond_and_further_digits_are_cut() -> None:
    assert instant("1970-01-01T00:00:01.9999999Z") == 1_999_999
    assert instant("1970-01-01t01:00:00+01:00") == 0
    assert instant("1970-01-01 00:00:00") == 0
    for unreadable in (
        "1970-01-01T00:00:60Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01",
        "1970-01-01T00:00:00+01",
        "0",
    ):
        assert instant(unreadable) is None
