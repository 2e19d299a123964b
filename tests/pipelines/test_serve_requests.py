"""What kpi serve takes and refuses: one server, asked as other programs ask it."""

import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_support import House
from serve_support import EXPORT, PUSH, Server, serving

pytestmark = pytest.mark.xdist_group("serve_requests")

VALUE = {"metric": "support_tickets", "value": 3, "timestamp": "2026-03-02"}
EVENT = {"event_id": "e1", "event_key": "account_created", "user_id": "person@example.org"} | {
    "occurred_at": "2026-03-02T08:00:00Z"
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(House(tmp_path_factory.mktemp("serve"))) as server:
        yield server


def taken(server: Server) -> list[str]:
    """Everything that the inbox holds."""
    folder = server.house.folder / "warehouse.inbox"
    return [path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()]


def raw(server: Server, path: str, body: bytes, **headers: str) -> tuple[int, Any]:
    """Send bytes as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    given = {"Authorization": f"Bearer {PUSH}", "Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", path, body, given)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


@pytest.mark.parametrize("path", ["/metric_data", "/events", "/export-kpi"])
@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "no_token"),
        ("Basic cGVyc29uOnBhc3N3b3Jk", "no_token"),
        ("Bearer", "no_token"),
        (f"Bearer {PUSH}x", "unknown_token"),
        ("Bearer \xe9", "unknown_token"),
    ],
)
def test_without_a_token_that_is_known_nothing_is_taken(
    server: Server, path: str, authorization: str | None, code: str
) -> None:
    given = {"Authorization": authorization} if authorization else {}
    status, answer = server.ask("POST", path, VALUE, **given)
    assert (status, answer["error"]) == (401, code)


@pytest.mark.parametrize(
    ("path", "token"), [("/metric_data", EXPORT), ("/events", EXPORT), ("/export-kpi", PUSH)]
)
def test_a_token_opens_nothing_beyond_its_scope(server: Server, path: str, token: str) -> None:
    status, answer = server.ask("POST", path, VALUE, token)
    assert (status, answer["error"]) == (403, "wrong_scope")


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"metric": None}, "missing", "metric"),
        ({"metric": "no_such_metric"}, "unknown_metric", "metric"),
        ({"metric": "a person's words"}, "unknown_metric", "metric"),
        ({"metric": ["support_tickets"]}, "unknown_metric", "metric"),
        ({"metric": "active_users"}, "not_a_pushed_metric", "metric"),
        ({"value": None}, "missing", "value"),
        ({"value": "3"}, "not_a_number", "value"),
        ({"value": True}, "not_a_number", "value"),
        ({"value": [3]}, "not_a_number", "value"),
        ({"value": float("nan")}, "not_finite", "value"),
        ({"value": float("-inf")}, "not_finite", "value"),
        ({"value": 10**29}, "out_of_range", "value"),
        ({"value": 1e-10}, "out_of_range", "value"),
        ({"timestamp": "2999-01-01"}, "future", "timestamp"),
        ({"timestamp": "2999-01-01T00:00:00Z"}, "future", "timestamp"),
        ({"timestamp": "1999-12-31"}, "out_of_range", "timestamp"),
        ({"timestamp": "2026-02-30"}, "unreadable", "timestamp"),
        ({"timestamp": "yesterday"}, "unreadable", "timestamp"),
        ({"timestamp": 1767225600}, "unreadable", "timestamp"),
        ({"id": "a b"}, "unreadable", "id"),
        ({"id": "person@example.org"}, "unreadable", "id"),
        ({"id": "x" * 129}, "unreadable", "id"),
        ({"comment": "a person's words"}, "unknown_field", None),
    ],
)
def test_a_value_that_cannot_be_taken_says_which_field_and_why(
    server: Server, change: dict[str, Any], error: str, field: str | None
) -> None:
    before = taken(server)
    status, answer = server.ask("POST", "/metric_data", [VALUE, VALUE | change], PUSH)
    assert (status, answer["error"], answer.get("field"), answer["item"]) == (422, error, field, 1)
    assert answer["message"]
    assert "person" not in json.dumps(answer)
    assert taken(server) == before


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"event_id": None}, "incomplete", "event_id"),
        ({"event_key": " "}, "incomplete", "event_key"),
        ({"occurred_at": "2026-03-02"}, "incomplete", "occurred_at"),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, "implausible", "occurred_at"),
        ({"occurred_at": "1999-01-01T00:00:00Z"}, "implausible", "occurred_at"),
        ({"is_test": "perhaps"}, "incomplete", "is_test"),
    ],
)
def test_an_event_is_refused_for_what_would_leave_it_out_of_a_file(
    server: Server, change: dict[str, Any], error: str, field: str
) -> None:
    before = taken(server)
    status, answer = server.ask("POST", "/events", [EVENT, EVENT | change], PUSH)
    assert (status, answer["error"], answer["field"], answer["item"]) == (422, error, field, 1)
    assert taken(server) == before


@pytest.mark.parametrize("path", ["/metric_data", "/events"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"[]",
        b"[",
        b"{",
        b"7",
        b"[7]",
        b"null",
        b"\xff{}",
        b"[{},]",
        b"[{}]{}",
        b"[,{}]",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"metric":"support_tickets","metric":"support_tickets","value":1,"event_id":1,"event_id":2}',
    ],
)
def test_a_body_that_is_no_json_of_objects_is_refused(server: Server, path: str, body: bytes) -> None:
    before = taken(server)
    status, answer = raw(server, path, body)
    assert (status, answer["error"] in {"malformed", "empty"}) == (422, True), answer
    assert taken(server) == before


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({"Content_Type": "text/csv"}, b"{}", 415),
        ({"Content_Type": ""}, b"{}", 415),
        ({"Content_Encoding": "gzip"}, b"{}", 415),
        ({}, b" " * ((1 << 20) + 1), 413),
    ],
)
def test_a_body_of_another_kind_or_too_large_is_refused(
    server: Server, headers: dict[str, str], body: bytes, expected: int
) -> None:
    status, answer = raw(server, "/metric_data", body, **headers)
    assert status == expected
    assert answer["message"]


def test_a_body_in_chunks_is_refused_when_it_grows_too_large(server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    head = (
        f"POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PUSH}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head.encode())
        connection.sendall(chunk * 17)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_who_hangs_up_in_the_middle_hurts_nobody(server: Server) -> None:
    head = f"POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {PUSH}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    assert server.ask("GET", "/healthz") == (200, {"status": "ok"})


def test_the_wrong_path_and_method_are_said_in_json(server: Server) -> None:
    assert server.ask("GET", "/nothing")[0] == 404
    assert server.ask("GET", "/metric_data")[1]["error"] == "not_allowed"
    assert server.ask("GET", "/export-kpi/0", token=EXPORT)[0] == 404


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"date": "2999-01-01"}, 422, "future"),
        ({"date": "20 November"}, 422, "unreadable"),
        ({"date": 20261120}, 422, "unreadable"),
        ({"day": "2026-11-20"}, 422, "unknown_field"),
        ([], 422, "malformed"),
    ],
)
def test_an_export_that_cannot_be_is_refused(server: Server, body: Any, status: int, error: str) -> None:
    answer = server.ask("POST", "/export-kpi", body, EXPORT, Idempotency_Key="k")
    assert (answer[0], answer[1]["error"]) == (status, error)


def test_every_path_is_described_for_programs_and_for_people(server: Server) -> None:
    status, document = server.ask("GET", "/openapi.json")
    assert status == 200
    paths = {(path, method) for path, methods in document["paths"].items() for method in methods}
    assert paths == {
        ("/metric_data", "post"),
        ("/events", "post"),
        ("/export-kpi", "post"),
        ("/export-kpi/{export_id}", "get"),
        ("/healthz", "get"),
    }
    for path in ("/metric_data", "/events"):
        described = document["paths"][path]["post"]["responses"]
        assert {"202", "401", "403", "408", "413", "415", "422", "503"} == set(described)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/docs")
    page = connection.getresponse().read().decode()
    connection.close()
    assert all(path in page for path, _ in paths)
    assert "http://" not in page
    assert "https://" not in page


def test_what_is_pushed_in_any_form_is_loaded_as_it_was_meant(tmp_path: Path) -> None:
    house = House(tmp_path, {"KPI_REPORTING_TIMEZONE": "America/New_York"})
    with serving(house) as server:
        assert server.ask("POST", "/metric_data", VALUE | {"id": "a", "value": 0.1}, PUSH)[0] == 202
        assert server.ask("POST", "/metric_data", VALUE | {"id": "a", "value": 0.1}, PUSH)[0] == 202
        assert server.ask("POST", "/metric_data", VALUE | {"id": "a", "value": 7}, PUSH)[0] == 202
        lines = b'{"metric":"net_promoter_score","value":-1.5e1,"id":"b","timestamp":"2026-03-02t08:00:00+02:00"}\n\n'
        lines += b'{"metric":"net_promoter_score","value":12345678901234567890.1234567891,"id":"c","timestamp":"2026-03-02 08:00:00.1"}\n'
        assert raw(server, "/metric_data", lines, Content_Type="application/x-ndjson; charset=utf-8") == (
            202,
            {
                "accepted": 2,
                "values": [
                    {"id": "b", "metric": "net_promoter_score", "timestamp": "2026-03-02T06:00:00+00:00"},
                    {
                        "id": "c",
                        "metric": "net_promoter_score",
                        "timestamp": "2026-03-02T08:00:00.100000+00:00",
                    },
                ],
            },
        )
        events = b'[ {"event_id": 12345678901234567890,\r\n "event_key":"account_created", "user_id":"person@example.org",'
        events += b' "email": "canary", "occurred_at":"2026-03-02T08:00:00Z"} , {"event_id":"e2","event_key":"test_completed",'
        events += b' "occurred_at":"2026-03-02T08:00:00Z", "received_at":"2026-03-02T09:00:00Z", "metadata":{"status":"success"}}]'
        assert raw(server, "/events", events) == (202, {"accepted": 2})
    house.kpi("ingest").is_well("3 metric_values", "1 conflict (id)", "1 values were sent again", "email (1)")
    assert house.rows(
        "select pushed_id, value::varchar, measured_at::varchar from raw_pushed.metric_values order by 1"
    ) == [
        ("a", "0.100000000", "2026-03-02 17:00:00+00"),
        ("b", "-15.000000000", "2026-03-02 06:00:00+00"),
        ("c", "12345678901234567890.123456789", "2026-03-02 08:00:00.1+00"),
    ]
    stored = house.rows(
        "select event_id, user_key is null, received_at > '2026-11-01', status, source_file like 'inbox:%'"
        " from raw_events.events order by 1"
    )
    assert stored == [
        ("12345678901234567890", False, True, None, True),
        ("e2", True, False, "success", True),
    ]
    house.kpi("ingest").is_well("pushed: nothing new", "events: nothing new")
    assert "person@example.org" not in house.file.read_bytes().decode("latin-1")


def test_a_server_without_tokens_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_support.TOKENS", {})
    with serving(House(tmp_path)) as server:
        for path in ("/metric_data", "/events", "/export-kpi"):
            for token in (None, PUSH):
                status, answer = server.ask("POST", path, VALUE, token)
                assert (status, answer["error"]) == (401, "no_tokens")
        assert server.ask("GET", "/healthz")[0] == 200
    assert list(tmp_path.iterdir()) == []
