"""A run that a request asks for is started once, outlives the server and is remembered by its key."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from command_support import House
from filelock import FileLock
from serve_support import EXPORT, Server, serving

SECONDS = 240.0


def export(server: Server, key: str | None = None, body: Any = None) -> tuple[int, Any]:
    return server.ask("POST", "/export-kpi", body, EXPORT, **({"Idempotency_Key": key} if key else {}))


def ended(server: Server, export_id: str) -> Any:
    """Wait until a run is over."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        status, record = server.ask("GET", f"/export-kpi/{export_id}", token=EXPORT)
        assert status == 200
        if record["status"] != "running":
            return record
        time.sleep(0.2)
    raise AssertionError("the run does not end")


def children(parent: int) -> list[int]:
    """The processes whose parent is this one."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except (OSError, ValueError):
            continue
    return found


def test_a_run_is_started_once_outlives_the_server_and_keeps_its_result(house: House) -> None:
    # Nothing is configured, so that the run ends soon, and with a failure that is told.
    with serving(house) as server:
        status, first = export(server, "monday")
        assert (status, first["status"], first["requested_date"]) == (202, "running", None)
        assert export(server, "monday") == (202, first)
        status, refused = export(server, "tuesday")
        assert (status, refused["error"]) == (409, "at_work")
        status, refused = export(server, "monday", {"date": "2026-03-02"})
        assert (status, refused["error"]) == (409, "key_taken")
        server.kill()
        server.start()
        assert export(server, "monday")[1]["export_id"] == first["export_id"]
        result = ended(server, first["export_id"])
        assert (result["status"], result["exit_code"]) == ("failed", 2)
        assert "No source is configured" in " ".join(result["problems"])
        assert export(server, "monday") == (200, result)
        server.kill()
        server.start()
        assert export(server, "monday") == (200, result)
        with FileLock(house.state / "run.lock"):
            assert export(server)[1]["error"] == "at_work"
        assert not list((house.state / "exports").glob("*.new"))


def test_a_run_that_was_killed_is_started_again_under_its_key(house: House) -> None:
    house.write_events("one.jsonl", [{}])
    with serving(house) as server:
        first = export(server, "monday", {"date": "2026-03-02"})[1]
        assert first["report_date"] == "2026-03-02"
        assert server.process
        [process] = children(server.process.pid)
        runs = children(process)
        os.kill(process, signal.SIGKILL)
        for run in runs:
            os.kill(run, signal.SIGKILL)
        assert ended(server, first["export_id"])["status"] == "interrupted"
        status, second = export(server, "monday", {"date": "2026-03-02"})
        assert (status, second["export_id"], second["status"]) == (202, first["export_id"], "running")
        for process in children(server.process.pid):
            for run in children(process):
                os.kill(run, signal.SIGKILL)
        assert ended(server, first["export_id"])["status"] == "failed"
