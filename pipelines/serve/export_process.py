"""`kpi run` for one request, as a process that outlives the server: holds the lock, writes down how it went.

Its one argument is an order in JSON: record (the file to write), locks (the lock that it holds, and the one that any run
holds, which must be free) and content (what the record begins with).
"""

import datetime as dt
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

LONGEST_PROBLEMS = 4_000


def main() -> None:
    """Run the order; say `started` or `busy` on standard output and nothing more."""
    order = json.loads(sys.argv[1])
    own, any_run = order["locks"]
    lock = FileLock(own)
    try:
        lock.acquire(blocking=False)
        with FileLock(any_run, timeout=0):
            pass
    except Timeout:
        _say("busy")
        return
    record = order["content"] | {
        "status": "running",
        "started_at": _now(),
        "ended_at": None,
        "exit_code": None,
    }
    path = Path(order["record"])
    _write(path, record | {"problems": []})
    _say("started")
    with tempfile.TemporaryFile() as complained:
        code = subprocess.run(  # noqa: S603 - every part of the command is ours
            [
                *(sys.executable, "-c", "from pipelines.cli import main; main()"),
                *("run", "--date", record["report_date"]),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complained,
            check=False,
        ).returncode
        complained.seek(0)
        problems = _problems(complained.read().decode("utf-8", "replace"))
    status = "succeeded" if code == 0 else "failed"
    _write(path, record | {"status": status, "ended_at": _now(), "exit_code": code, "problems": problems})


def _problems(text: str) -> list[str]:
    """Keep what was complained of, without the lines that show progress."""
    lines = [
        line.strip() for line in text.splitlines() if line.strip() and not re.match(r"\[ *\d+\.\d s\]", line)
    ]
    kept: list[str] = []
    for line in lines:
        if sum(map(len, kept)) + len(line) > LONGEST_PROBLEMS:
            break
        kept.append(line)
    return kept


def _write(path: Path, record: dict[str, Any]) -> None:
    """Replace the record as a whole, on disk when this returns."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    # The server may be gone, or go: nobody reads this any more.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
