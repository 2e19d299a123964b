"""Where event files may lie, which forms they may have, and that each is read once."""

import datetime as dt
import gzip
import hashlib
import hmac
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from events_support import event, fates, lines, load, load_lines, rows, warehouse_in

from pipelines.errors import SettingError
from pipelines.sources.events import blocks
from pipelines.warehouse import PROJECT_ROOT, environment

MOMENT = dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder for event files."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


def ids(folder: Path) -> list[str]:
    return [event_id for (event_id,) in rows(folder, "select event_id from events order by all")]


def source_files(folder: Path) -> list[str]:
    return [name for (name,) in rows(folder, "select source_file from files order by all")]


def test_an_empty_folder_makes_all_tables_and_says_so(tmp_path: Path, place: Path) -> None:
    report = load(tmp_path)
    assert report.notes == [f"events: no event files in {place}."]
    for table in ("events", "quarantine", "files", "key_fingerprints"):
        assert rows(tmp_path, f"select count(*) from {table}") == [(int(table == "key_fingerprints"),)]


def test_a_folder_is_read_with_its_subfolders_and_names_are_relative(tmp_path: Path, place: Path) -> None:
    (place / "2026" / "03").mkdir(parents=True)
    (place / "2026" / "03" / "a.ndjson").write_bytes(lines([event(1)]))
    (place / "b.json.gz").write_bytes(gzip.compress(lines([event(2)])))
    (place / "notes.txt").write_text("no events")
    (place / ".hidden.jsonl").write_bytes(lines([event(3)]))
    load(tmp_path)
    assert ids(tmp_path) == ["e1", "e2"]
    assert source_files(tmp_path) == ["2026/03/a.ndjson", "b.json.gz"]


def test_a_glob_a_single_file_and_a_url_lead_to_files(tmp_path: Path, place: Path) -> None:
    for number, name in enumerate(("a1.jsonl", "a2.jsonl", "b.jsonl"), 1):
        (place / name).write_bytes(lines([event(number)]))
    load(tmp_path, place / "a*.jsonl")
    assert source_files(tmp_path) == ["a1.jsonl", "a2.jsonl"]
    load(tmp_path, place / "b.jsonl")
    memory = fsspec.filesystem("memory")
    memory.pipe("/events/deep/c.jsonl", lines([event(4)]))
    load(tmp_path, "memory://events")
    load(tmp_path, f"file://{place}")
    assert source_files(tmp_path) == ["a1.jsonl", "a2.jsonl", "b.jsonl", "deep/c.jsonl"]
    assert load(tmp_path, place / "none*.jsonl").notes
    with pytest.raises(SettingError, match="nowhere"):
        load(tmp_path, place / "nowhere" / "*.jsonl")


def test_a_file_is_read_once_and_again_when_it_has_grown(tmp_path: Path, place: Path) -> None:
    load_lines(tmp_path, [event(1)])
    report = load(tmp_path)
    assert report.rows["events"] == 0
    assert report.notes == ["events: no new event files."]
    load_lines(tmp_path, [event(1), event(2)])
    assert rows(tmp_path, "select event_id, line_number from events order by all") == [("e1", 1)] * 2 + [
        ("e2", 2)
    ]
    assert rows(tmp_path, "select count(distinct _dlt_load_id) from files") == [(2,)]


def test_a_last_line_that_is_still_being_written_waits_for_the_next_run(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lines([event(1), event(2)])
    for name, content in (
        ("a.jsonl", whole),
        ("b.csv", b"event_id,event_key,occurred_at\ne3,k,2026-03-01\ne4,k,2026"),
    ):
        (place / name).write_bytes(content[:-5])
    with monkeypatch.context() as context:
        context.setattr("pipelines.sources.events.files.EventFile.is_complete", lambda file: False)
        load(tmp_path)
    assert rows(tmp_path, "select source_file, lines, size_bytes from files order by all") == [
        ("a.jsonl", 1, whole.index(b"\n") + 1),
        ("b.csv", 1, len(b"event_id,event_key,occurred_at\ne3,k,2026-03-01\n")),
    ]
    load(tmp_path)
    assert rows(tmp_path, "select max(lines) from files") == [(2,)]


def test_only_what_was_there_at_the_start_is_read(
    tmp_path: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = place / "a.jsonl"
    file.write_bytes(lines([event(1)]))
    growing = blocks.Lines._fill

    def grow(self: blocks.Lines) -> int:
        with file.open("ab") as stream:
            stream.write(lines([event(2)]))
        return growing(self)

    with monkeypatch.context() as context:
        context.setattr(blocks.Lines, "_fill", grow)
        load(tmp_path)
    assert ids(tmp_path) == ["e1"]
    load(tmp_path)
    assert set(ids(tmp_path)) == {"e1", "e2"}


@pytest.mark.parametrize("size", [1, 7, 64])
def test_blocks_of_any_size_give_the_same_lines(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "READ_SIZE", size)
    monkeypatch.setattr(blocks, "LONGEST_LINE", 100)
    content = b"\xef\xbb\xbfone\r\n\n" + b"x" * 300 + b"\r\ntwo\n" + b"y" * 99 + b"\nlast"
    found: list[Any] = []
    for block in blocks.Lines(io.BytesIO(content), b"u" * 32):
        if isinstance(block, blocks.LongLine):
            found.append((block.line_number, block.line_hash))
        else:
            found += [(block.first_line_number + row, block.line(row)) for row in range(len(block))]
    long = hmac.new(b"u" * 32, b"line\0" + b"x" * 300, hashlib.sha256).hexdigest()
    assert found == [(1, b"one"), (2, b""), (3, long), (4, b"two"), (5, b"y" * 99), (6, b"last")]


def test_csv_files_are_read_and_broken_records_named(tmp_path: Path, place: Path) -> None:
    (place / "a.csv").write_bytes(
        b"\xef\xbb\xbfevent_id,event_key,user_id,occurred_at,metadata,email\r\n"
        b'1,k,7,2026-03-01T10:00:00Z,"{""session_id"": ""s"", ""status"": ""success""}",jane@example.com\r\n'
        b"\r\n"
        b"2,k,7\r\n"
        b'3,"k\nk",,2026-03-01T10:00:00Z,,\r\n'
        b"4,\xff,,2026-03-01T10:00:00Z,,\r\n"
        b'5,"open,,2026-03-01T10:00:00Z,,\r\n'
        b"6,k,,2026-03-01T10:00:00Z,,\r\n"
    )
    load(tmp_path)
    found = rows(
        tmp_path, "select line_number, event_id, event_key, session_id, status from events order by all"
    )
    assert found == [
        (2, "1", "k", "s", "success"),
        (5, "3", "(unprintable)", None, None),
        (9, "6", "k", None, None),
    ]
    assert fates(tmp_path) == [(number, "malformed", None) for number in (4, 7, 8)]
    assert rows(tmp_path, "select lines, unknown_field_names from files") == [(6, "email")]


def test_flat_columns_stand_in_for_metadata(tmp_path: Path, place: Path) -> None:
    (place / "a.csv.gz").write_bytes(
        gzip.compress(b"event_id,event_key,occurred_at,session_id,status\n1,k,2026-03-01T10:00:00Z,s,error\n")
    )
    load(tmp_path)
    assert rows(tmp_path, "select session_id, status from events") == [("s", "error")]


def write_parquet(path: Path, **columns: pa.Array) -> None:
    whole = {
        "event_id": pa.array([1, 2], pa.int64()),
        "event_key": pa.array(["k", "k"]).dictionary_encode(),
        "occurred_at": pa.array([MOMENT, MOMENT], pa.timestamp("us", "UTC")),
    }
    pq.write_table(pa.table(whole | columns), path)


def test_parquet_files_are_read_whatever_their_types(tmp_path: Path, place: Path) -> None:
    naive = MOMENT.replace(tzinfo=None)
    write_parquet(
        place / "a.parquet",
        occurred_at=pa.array([naive, None], pa.timestamp("ns")),
        user_id=pa.array([7.0, None], pa.float64()),
        is_test=pa.array([True, None]),
        metadata=pa.array([{"session_id": "s", "status": "success", "note": "n"}, None]),
        email=pa.array(["jane@example.com", None]),
    )
    write_parquet(place / "b.parquet", metadata=pa.array(['{"session_id": "t"}', "nonsense"]))
    load(tmp_path)
    columns = "source_file, line_number, event_id, session_id, is_test, occurred_at, user_key is null"
    found = rows(tmp_path, f"select {columns} from events order by all")
    assert [(*row[:5], row[5].astimezone(dt.UTC), row[6]) for row in found] == [
        ("a.parquet", 1, "1", "s", True, MOMENT, False),
        ("b.parquet", 1, "1", "t", False, MOMENT, True),
        ("b.parquet", 2, "2", None, False, MOMENT, True),
    ]
    assert fates(tmp_path) == [(2, "incomplete", "occurred_at")]


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_loaded(tmp_path: Path, place: Path) -> None:
    (place / "good.jsonl").write_bytes(lines([event(1)]))
    packed = gzip.compress(lines(event(number, other=os.urandom(8).hex()) for number in range(3000)))
    (place / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (place / "not.jsonl.gz").write_bytes(lines([event(2)]))
    (place / "no.parquet").write_bytes(b"nonsense")
    (place / "missing.csv").write_bytes(b"event_id,event_key\n1,k\n")
    write_parquet(place / "type.parquet", occurred_at=pa.array([1.0, 2.0]))
    write_parquet(place / "struct.parquet", event_id=pa.array([{"a": 1}, {"a": 2}]))
    report = load(tmp_path)
    assert ids(tmp_path) == ["e1"]
    assert source_files(tmp_path) == ["good.jsonl"]
    failures = "\n".join(report.failures)
    for expected in (
        "cut.jsonl.gz cannot be read",
        "not.jsonl.gz cannot be read",
        "no.parquet cannot be read",
        "missing.csv has no column 'occurred_at'",
        "type.parquet: column 'occurred_at' changed type: occurred_at cannot be double",
        "struct.parquet: column 'event_id' changed type",
    ):
        assert expected in failures
    (place / "cut.jsonl.gz").write_bytes(packed)
    assert load(tmp_path).rows["events"] == 3000


def test_a_large_file_that_breaks_late_leaves_nothing_behind(
    tmp_path: Path, place: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("pipelines.sources.events.spool.SMALL_FILE_ROWS", 10)
    monkeypatch.setattr("pipelines.sources.events.spool.ROWS_A_GROUP", 7)
    monkeypatch.setattr("pipelines.sources.events.spool.LARGEST_PART_ROWS", 21)
    monkeypatch.setattr(blocks, "READ_SIZE", 1000)
    packed = gzip.compress(lines(event(number, other=os.urandom(8).hex()) for number in range(500)))
    (place / "a.jsonl").write_bytes(lines(event(number) for number in range(100)))
    (place / "b.jsonl.gz").write_bytes(packed[:-4])
    (place / "c.jsonl").write_bytes(lines(event(number) for number in range(5)))
    assert len(load(tmp_path).failures) == 1
    assert rows(tmp_path, "select source_file, count(*) from events group by all order by all") == [
        ("a.jsonl", 100),
        ("c.jsonl", 5),
    ]
    assert rows(tmp_path, "select count(distinct line_number) from events") == [(100,)]


CANARIES = {
    "user": "canary-user-4711",
    "email": "canary@example.com",
    "name": "Canary Mustermann",
    "address": "203.0.113.77",
}


def test_nothing_personal_reaches_any_file(
    tmp_path: Path, place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    user, email, name, address = CANARIES.values()
    contents: list[object] = [
        event(1, user_id=user, email=email, metadata={"session_id": "s", "ip": address, "name": name}),
        event(2, event_name=f"{name} clicked", event_key=f"mail {email}", user_id=f" {user} "),
        event(3, metadata={"status": "error", "error_code": f"failed for {name} at {address}"}),
        event(4, user_id=[user]) | {"occurred_at": f"{name}"},
        json.dumps({"user_id": user, "email": email, "ip": address, "name": name}).encode() + b"}",
        event(5, user_id=user, occurred_at="1990-01-01T00:00:00Z", **{email: name}),
    ]
    (place / "x.csv").write_text(
        f"event_id,event_key,user_id,occurred_at,email\n1,k,{user},{name},{email}\n2,{name},{user}\n"
    )
    load_lines(tmp_path, contents)
    output = "".join(capfd.readouterr())
    for folder, _, names in os.walk(tmp_path):
        for file in names:
            path = Path(folder) / file
            if path.parent == place:
                continue
            content = path.read_bytes()
            for canary in CANARIES.values():
                assert canary.encode() not in content, path
    for canary in CANARIES.values():
        assert canary not in output


KILLED = """
import os, signal, sys, runpy
module, name, calls = sys.argv[1].rpartition(".")[0], sys.argv[1].rpartition(".")[2], int(sys.argv[2])
holder, attribute = module.rpartition(":")[::2]
target = __import__(holder, fromlist=["_"])
target = getattr(target, attribute)
wrapped = getattr(target, name)

def killing(*arguments, **named):
    global calls
    result = wrapped(*arguments, **named)
    calls -= 1
    if calls == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(target, name, killing)
sys.argv = ["events"]
runpy.run_module("pipelines.sources.events", run_name="__main__")
"""
WHILE_READING = "pipelines.sources.events.spool:Spool.commit"
WHILE_WRITING = "dlt.normalize.items_normalizers.arrow:ArrowItemsNormalizer.__call__"
WHILE_LOADING = "dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run"
AT_THE_END = "dlt.load.load:Load.complete_package"


@pytest.mark.parametrize(
    ("where", "calls"),
    [(WHILE_READING, 1), (WHILE_READING, 4), (WHILE_WRITING, 1), (WHILE_LOADING, 1), (AT_THE_END, 1)],
)
def test_a_killed_run_is_mended_by_the_next(tmp_path: Path, place: Path, where: str, calls: int) -> None:
    for name in ("a", "b"):
        (place / f"{name}.jsonl").write_bytes(lines(event(number) for number in range(200)))
    with environment(
        KPI_DUCKDB_PATH=str(warehouse_in(tmp_path).duckdb_path), SOURCES__EVENTS__PATH=str(place)
    ):
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, where, str(calls)], cwd=PROJECT_ROOT, check=False
        )
        assert killed.returncode == -signal.SIGKILL
        module = [sys.executable, "-m", "pipelines.sources.events"]
        subprocess.run(module, cwd=PROJECT_ROOT, check=True, capture_output=True)
    arrivals = "select distinct _dlt_load_id, source_file, line_number, event_id from events"
    assert rows(tmp_path, f"select count(*) from ({arrivals})") == [(400,)]
    assert rows(tmp_path, "select count(distinct source_file) from files") == [(2,)]
    assert load(tmp_path).rows["events"] == 0
    left = [path.name for path in (tmp_path / ".kpi").rglob("*.parquet")]
    assert left == []
