"""Events that come from a Directus collection or from a SQL table."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from events_support import fates, rows, warehouse_in

from pipelines.errors import KpiError, SettingError
from pipelines.sources import events
from pipelines.sources.events import records
from pipelines.sources.load import LoadReport
from pipelines.warehouse import environment

TOKEN = "directus-token"


class Directus(ThreadingHTTPServer):
    """A loopback server that speaks as much of Directus as the source asks for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: list[dict[str, Any]] = []
        self.requests: list[dict[str, list[str]]] = []
        self.fail_after: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Directus

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.server.requests.append(query)
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.answer(401, {"errors": []})
        if parts.path != "/items/events":
            return self.answer(403, {"errors": []})
        if self.server.fail_after is not None and len(self.server.requests) > self.server.fail_after:
            return self.answer(404, {})
        since = query.get("filter[timestamp][_gte]", [""])[0]
        found = sorted(
            (row for row in self.server.rows if row["timestamp"] >= since), key=lambda row: row["timestamp"]
        )
        start = int(query["offset"][0])
        return self.answer(200, {"data": found[start : start + int(query["limit"][0])]})

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def directus() -> Iterator[Directus]:
    with Directus() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def load_directus(folder: Path, url: str, **settings: str) -> LoadReport:
    given = {
        "SOURCES__EVENTS__DIRECTUS_URL": url,
        "SOURCES__EVENTS__DIRECTUS_TOKEN": TOKEN,
        "SOURCES__EVENTS__PRESET": "directus",
    }
    with environment(**(given | settings)):
        return events.load(warehouse_in(folder), lambda line: None)


def row(number: int, day: int = 1) -> dict[str, Any]:
    moment = f"2026-03-{day:02}T10:00:00Z"
    return {
        "id": number,
        "key": "k",
        "user": 7,
        "timestamp": moment,
        "service": "app",
        "metadata": {"session_id": "s"},
    }


def test_a_directus_collection_is_read_page_by_page_and_then_from_where_it_ended(
    tmp_path: Path, directus: Directus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE_SIZE", 3)
    directus.rows = [row(number, day) for number, day in enumerate([1, 1, 2, 3, 4, 5, 6], 1)] + [
        {"id": 8, "timestamp": "x"}
    ]
    assert load_directus(tmp_path, directus.url).rows == {"events": 7, "quarantine": 1, "files": 1}
    assert len(directus.requests) == 3
    assert fates(tmp_path) == [(8, "incomplete", "event_key")]
    directus.rows.append(row(12_345_678_901_234_567_890_123, 7))
    load_directus(tmp_path, directus.url)
    assert directus.requests[-1]["filter[timestamp][_gte]"] == ["2026-03-05T10:00:00Z"]
    found = rows(tmp_path, "select distinct event_id, source_file from events order by all")
    assert len(found) == 8
    assert ("12345678901234567890123", "directus:events") in found


def test_a_directus_that_fails_is_named_and_leaves_nothing_half_loaded(
    tmp_path: Path, directus: Directus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "PAGE_SIZE", 1)
    directus.rows = [row(1), row(2), row(3)]
    directus.fail_after = 2
    assert "no such collection" in load_directus(tmp_path, directus.url).failures[0]
    assert rows(tmp_path, "select count(*) from events") == [(0,)]
    wrong = load_directus(tmp_path, directus.url, SOURCES__EVENTS__DIRECTUS_TOKEN="wrong").failures[0]
    assert "refused the token" in wrong
    assert "wrong" not in wrong
    assert "cannot be reached" in load_directus(tmp_path, "http://127.0.0.1:9").failures[0]
    with pytest.raises(SettingError, match="DIRECTUS_TOKEN"):
        load_directus(tmp_path, directus.url, SOURCES__EVENTS__DIRECTUS_TOKEN="")


def load_sql(folder: Path, **settings: str) -> LoadReport:
    given = {
        "SOURCES__EVENTS__SQL_URL": f"sqlite:///{folder / 'app.db'}",
        "SOURCES__EVENTS__SQL_TABLE": "events",
    }
    with environment(**(given | settings)):
        return events.load(warehouse_in(folder), lambda line: None)


def test_a_sql_table_is_read_and_then_from_where_it_ended(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute(
            "create table events (event_id integer, event_key text, user_id text, occurred_at timestamp,"
            " is_test boolean, metadata text, email text)"
        )
        insert = (
            "insert into events values (?, 'k', '7', ?, 0, '{\"session_id\": \"s\"}', 'jane@example.com')"
        )
        connection.executemany(insert, [(number, f"2026-03-0{number} 10:00:00") for number in (1, 2, 3)])
    assert load_sql(tmp_path).rows == {"events": 3, "quarantine": 0, "files": 1}
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute(insert, (4, "2026-03-04 10:00:00"))
    assert load_sql(tmp_path, SOURCES__EVENTS__OVERLAP_HOURS="25").rows["events"] == 3
    columns = "distinct event_id, session_id, source_file, epoch_us(occurred_at)"
    found = rows(tmp_path, f"select {columns} from events order by all")
    assert [event_id for event_id, *_ in found] == ["1", "2", "3", "4"]
    assert found[0] == ("1", "s", "sql:events", 1_772_359_200_000_000)
    assert rows(tmp_path, "select distinct unknown_field_names from files") == [("email",)]


def test_a_sql_table_that_cannot_be_read_is_named_without_its_password(tmp_path: Path) -> None:
    assert "'events' cannot be read" in load_sql(tmp_path).failures[0]
    with pytest.raises(SettingError, match="SQL_TABLE"):
        load_sql(tmp_path, SOURCES__EVENTS__SQL_TABLE="")
    report = load_sql(tmp_path, SOURCES__EVENTS__SQL_URL=f"nonsense://u:{'hunter2'}@h/d")
    assert "SQL_URL" in report.failures[0]
    assert "hunter2" not in report.failures[0]
    with sqlite3.connect(tmp_path / "app.db") as connection:
        connection.execute("create table events (event_id integer)")
    assert "no column 'occurred_at'" in load_sql(tmp_path).failures[0]


def test_nothing_configured_says_what_to_set(tmp_path: Path) -> None:
    assert not events.is_configured()
    with pytest.raises(KpiError, match="No events are configured"):
        events.load(warehouse_in(tmp_path), lambda line: None)
