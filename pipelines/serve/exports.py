"""Runs of the whole pipeline that a request asks for: one at a time, each remembered by its idempotency key.

The run is a process of its own, which outlives the server and writes down how it ended (`export_process`). It holds a lock
as long as it lives: a record that says running while nobody holds the lock is of a run that was killed.
"""

import asyncio
import datetime as dt
import hashlib
import json
import re
import secrets
import subprocess
import sys
from typing import Any

from filelock import FileLock, Timeout

from pipelines.build import check_dates
from pipelines.errors import SettingError
from pipelines.serve.refusals import Refusal
from pipelines.warehouse import Warehouse

KEY = re.compile(r"[\x21-\x7e]{1,255}")
ID = re.compile(r"[0-9a-f]{32}")
Record = dict[str, Any]


class Exports:
    """Starts runs and tells what became of them."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._folder = warehouse.state_folder / "exports"
        self._one_at_a_time = asyncio.Lock()
        self._processes: list[subprocess.Popen[str]] = []

    async def start(self, date: str | None, key: str | None) -> tuple[Record, bool]:
        """Start the run of a day, and tell whether it was started now: a key that is known gets its first run's record.

        A run that was killed is started again under its key. Raises Refusal: 409 while a run is at work or for a key that
        came with another date before, 422 for a date that cannot be built.
        """
        if key is not None and not KEY.fullmatch(key):
            raise Refusal(
                422,
                "unreadable",
                "the idempotency key is not 1 to 255 printable ASCII characters without blanks",
            )
        export_id = hashlib.sha256(key.encode()).hexdigest()[:32] if key else secrets.token_hex(16)
        async with self._one_at_a_time:
            known = await asyncio.to_thread(self.find, export_id)
            if known is not None and known["requested_date"] != date:
                raise Refusal(409, "key_taken", "this idempotency key came with another date before")
            if known is not None and known["status"] != "interrupted":
                return known, False
            report_date = known["report_date"] if known else self._report_date(date)
            return await asyncio.to_thread(self._begin, export_id, date, report_date), True

    def find(self, export_id: str) -> Record | None:
        """Read the record of a run; None where there is none."""
        self._processes = [process for process in self._processes if process.poll() is None]
        # The lock is asked first: a run that ends in between is then read as ended.
        is_at_work = self._is_at_work()
        try:
            record: Record = json.loads((self._folder / f"{export_id}.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if record["status"] == "running" and not is_at_work:
            record["status"] = "interrupted"
        return record

    def _report_date(self, date: str | None) -> str:
        try:
            return check_dates(self._warehouse, None if date is None else day(date)).isoformat()
        except SettingError as error:
            raise Refusal(422, "future", f"{error.problem} {error.remedy}", field="date") from None

    def _is_at_work(self) -> bool:
        if not (self._folder / "running.lock").exists():
            return False
        lock = FileLock(self._folder / "running.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    def _begin(self, export_id: str, date: str | None, report_date: str) -> Record:
        self._folder.mkdir(parents=True, exist_ok=True)
        order = {
            "record": str(self._folder / f"{export_id}.json"),
            "locks": [str(self._folder / "running.lock"), str(self._warehouse.state_folder / "run.lock")],
            "content": {"export_id": export_id, "requested_date": date, "report_date": report_date},
        }
        process = subprocess.Popen(  # noqa: S603 - every part of the command is ours
            [sys.executable, "-m", "pipelines.serve.export_process", json.dumps(order)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        with process.stdout as answer:
            said = answer.readline().strip()
        if said == "busy":
            raise Refusal(
                409,
                "at_work",
                "another kpi run is at work; ask again when it has ended",
                headers={"Retry-After": "60"},
            )
        record = self.find(export_id)
        if said != "started" or record is None:
            raise Refusal(
                503, "not_started", "the run could not be started; see that there is room on the disk"
            )
        return record


def day(text: str) -> dt.date:
    """Read a day such as 2026-11-20. Raises Refusal."""
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            raise ValueError
        return dt.date.fromisoformat(text)
    except ValueError:
        raise Refusal(422, "unreadable", "the date is not written as 2026-11-20", field="date") from None
