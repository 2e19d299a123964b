"""`kpi push` takes every good row of a CSV file, and names every other one with its remedy."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from command_support import House

from pipelines.errors import KpiError, SettingError
from pipelines.sources.load import LoadReport
from pipelines.sources.pushed import load
from pipelines.sources.pushed.csv_files import push_file
from pipelines.warehouse import PROJECT_ROOT, Warehouse

LEFT_OUT = "select source_file, line_number, reason, field from raw_pushed.quarantine order by 2"
LAST_PUSHED = """
    select metric_key, value::double, measured_at::date::varchar
    from raw_pushed.metric_values
    qualify row_number() over (partition by metric_key, measured_at order by received_at desc) = 1
    order by all
"""


def write(house: House, *rows: str, header: str = "metric,value,timestamp", name: str = "figures.csv") -> str:
    path = house.folder / name
    path.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return str(path)


def test_bad_rows_are_named_and_left_in_quarantine_and_good_ones_go_in(house: House) -> None:
    path = write(
        house,
        "support_tickets,17,2026-03-02",
        "support_tickets,canary,2026-03-03",
        "no_such_metric,1,2026-03-03",
        "support_tickets,1,2999-01-01",
        "support_tickets,1",
        "support_tickets,,2026-03-03",
        "support_tickets,5,",
        'support_tickets,"canary,2026-03-04',
        "support_tickets, 1e1 ,2026-03-05",
    )
    told = house.kpi("push", path)
    told.fails_with(
        1,
        "figures.csv, line 3, field value: the value is not a number. -> Write digits",
        "line 4, field metric: the metric 'no_such_metric' is not in the catalogue",
        "line 5, field timestamp: the timestamp lies in the future",
        "line 6: the row has not the 3 cells",
        "line 7, field value",
        "line 8, field timestamp",
        "line 9: the row",
        "Error: 7 rows of figures.csv were left out. -> Correct them and push the file again",
    )
    assert "figures.csv: 2 values taken, 7 rows left out" in told.shown
    assert "canary" not in told.text
    # The same file again, before and after it was loaded, changes nothing.
    push_file(warehouse_of(house), Path(path), print)
    house.kpi("ingest", "pushed").is_well("quarantine", "csv:figures.csv: 2 malformed")
    push_file(warehouse_of(house), Path(path), print)
    load(warehouse_of(house), print)
    assert house.rows(LAST_PUSHED) == [
        ("support_tickets", 10.0, "2026-03-05"),
        ("support_tickets", 17.0, "2026-03-02"),
    ]
    assert house.rows(LEFT_OUT) == [
        ("csv:figures.csv", 3, "not_a_number", "value"),
        ("csv:figures.csv", 4, "unknown_metric", "metric"),
        ("csv:figures.csv", 5, "future", "timestamp"),
        ("csv:figures.csv", 6, "malformed", None),
        ("csv:figures.csv", 7, "missing", "value"),
        ("csv:figures.csv", 8, "missing", "timestamp"),
        ("csv:figures.csv", 9, "malformed", None),
    ]
    written = [each for each in house.folder.rglob("*") if each.is_file() and each != Path(path)]
    assert [each for each in written if b"canary" in each.read_bytes()] == []


def test_a_corrected_file_takes_the_place_of_what_was_pushed_and_so_does_its_first_form_again(
    house: House,
) -> None:
    def push(*rows: str, header: str = "metric,value,timestamp") -> LoadReport:
        assert push_file(warehouse_of(house), Path(write(house, *rows, header=header)), print).left_out == 0
        return load(warehouse_of(house), print)

    for value in (5, 6, 5):
        push(f"support_tickets,{value},2026-03-02", "social_followers,9,2026-03-02")
    push("v1,support_tickets,7,2026-03-03", header="id,metric,value,timestamp")
    report = push("v1,support_tickets,8,2026-03-03", header="\ufeffID, Metric,value,timestamp")
    assert report.rows == {"metric_values": 0, "quarantine": 1, "files": 1}
    assert "1 conflict (id)" in report.notes[0]
    assert house.rows(LAST_PUSHED) == [
        ("social_followers", 9.0, "2026-03-02"),
        ("support_tickets", 5.0, "2026-03-02"),
        ("support_tickets", 7.0, "2026-03-03"),
    ]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("metric,value", "no column 'timestamp'"),
        ("metric,value,timestamp,comment", "a column that is none of"),
        ("metric,value,timestamp,value", "a column twice"),
        ("", "no column 'metric'"),
    ],
)
def test_a_file_without_the_columns_is_refused_whole(house: House, header: str, said: str) -> None:
    path = write(house, "support_tickets,1,2026-03-02,x", header=header)
    with pytest.raises(SettingError, match=said) as refused:
        push_file(warehouse_of(house), Path(path), print)
    assert "Nothing of it was taken" in refused.value.remedy
    assert not (house.folder / "warehouse.inbox").exists()


def test_an_inbox_that_cannot_be_written_is_named_and_not_the_file(house: House) -> None:
    path = Path(write(house, "support_tickets,1,2026-03-02"))
    (house.folder / "away").symlink_to(house.folder / "gone" / "away")
    nowhere = replace(warehouse_of(house), inbox_path=house.folder / "away" / "inbox")
    with pytest.raises(KpiError, match="inbox cannot be written"):
        push_file(nowhere, path, print)


def warehouse_of(house: House) -> Warehouse:
    return Warehouse("duckdb", house.file, "", "UTC")


def test_a_push_needs_no_warehouse_and_a_load_that_is_killed_anywhere_takes_it_once(house: House) -> None:
    rows = [f"podcast_downloads,{number},2026-03-02T08:00:00.{number:06d}Z" for number in range(2_000)]
    house.kpi("push", write(house, *rows)).is_well("2,000 values taken")
    assert not house.file.exists()
    # At a seal, in the middle of dlt's steps, and behind them.
    assert [kill_at_step(house, number) for number in (1, 30, 60)] == [True, True, True]
    house.kpi("ingest", "pushed").is_well()
    assert house.rows("select count(*), sum(value)::bigint from raw_pushed.metric_values") == [
        (2_000, 1_999_000)
    ]
    assert house.one("select count(*) from raw_pushed.files") == 1
    house.kpi("ingest", "pushed").is_well("nothing new")


KILL = """
import itertools, os, signal, sys

numbers = itertools.count(1)

def step(event, arguments):
    if event in {"os.rename", "os.remove", "os.ftruncate"} and next(numbers) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(step)
from pipelines.cli import cli
cli(["ingest", "pushed"])
"""


def kill_at_step(house: House, number: int) -> bool:
    process = house.start_program(sys.executable, "-c", KILL, str(number), cwd=PROJECT_ROOT)
    _, complained = process.communicate()
    assert process.returncode in {0, -signal.SIGKILL}, complained
    return process.returncode != 0


def test_two_pushes_at_once_and_a_disk_that_is_full_leave_whole_lines(house: House) -> None:
    rows = [f"podcast_downloads,{number},2026-03-02T08:00:00.{number:06d}Z" for number in range(12_000)]
    path = write(house, *rows)
    both = [house.start("push", path) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    for process in both:
        process.communicate()
    limited = f"ulimit -f 4500; exec {sys.executable} -c 'import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limited += f' from pipelines.cli import cli; cli(["push", "{path}"])\''
    if os.name == "posix":
        told = house.program("bash", "-c", limited)
        told.fails_with(1, "cannot be written", "push the file again")
    inbox = house.folder / "warehouse.inbox" / "metric_values" / ".open"
    lines = inbox.read_bytes().splitlines(keepends=True)
    assert len(lines) in {24_000, 34_000}
    assert all(line.startswith(b"{") and line.endswith(b"}\n") for line in lines)
