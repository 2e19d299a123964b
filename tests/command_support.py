"""The `kpi` command as users touch it: its own process, with an environment that holds only what a test names."""

import datetime as dt
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
from dbt_support import READING, lend_reading

from pipelines.warehouse import PROJECT_ROOT

BIN = Path(sys.executable).parent
USER_KEY = "user-canary-" + "u" * 32
RECORD_KEY = "record-canary-" + "r" * 32
SECONDS = 240
BUILDING = {"build", "run", "backfill"}
"""Commands that start dbt."""
# A zone in which no test run that begins now meets midnight, and in which the morning of a day in UTC is that same day.
ZONE = "UTC" if dt.datetime.now(dt.UTC).hour < 20 else "Etc/GMT+6"
TODAY = dt.datetime.now(ZoneInfo(ZONE)).date()


def clean_environment(home: Path) -> dict[str, str]:
    """An environment without a setting of ours: where programs lie, where home is, and the language."""
    return {"PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}


def hearing_interrupts() -> None:
    """Let a child process be stopped by Ctrl-C, whatever its parent ignores."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Finished:
    """What one command gave."""

    code: int
    shown: str
    """Standard output."""
    complained: str
    """Standard error."""

    @property
    def text(self) -> str:
        return self.shown + self.complained

    def fails_with(self, code: int, *parts: str) -> None:
        """Hold the exit code, that each part is said, and that nobody is shown a traceback."""
        assert self.code == code, self.text
        assert "Traceback" not in self.text, self.text
        for part in parts:
            assert part in " ".join(self.complained.split()), self.text

    def is_well(self, *parts: str) -> None:
        """Hold exit code 0, that each part is shown, and that nothing went wrong on the way."""
        assert self.code == 0, self.text
        assert "Traceback" not in self.text, self.text
        for part in parts:
            assert part in " ".join(self.text.split()), self.text


@dataclass
class House:
    """One warehouse in a folder of its own, its settings, and the command that works on it."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    @property
    def state(self) -> Path:
        return self.folder / ".kpi" / "warehouse"

    @property
    def events(self) -> Path:
        """The events folder, which is configured from the first time it is asked for."""
        path = self.folder / "events"
        path.mkdir(exist_ok=True)
        self.settings.setdefault("SOURCES__EVENTS__PATH", str(path))
        return path

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {
            **clean_environment(self.folder),
            "KPI_DUCKDB_PATH": str(self.file),
            "KPI_REPORTING_TIMEZONE": ZONE,
            **self.settings,
            **more,
        }

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """Start kpi and do not wait for it."""
        if "KPI_TARGET" not in self.settings | more:
            self.lend_reading(arguments[0])
        return self.start_program(str(BIN / "kpi"), *arguments, cwd=PROJECT_ROOT, **more)

    def lend_reading(self, command: str = "build") -> None:
        """Spare a command that builds the reading of the whole project, which others have done."""
        if command in BUILDING:
            lend_reading(self.file, self.state / "dbt")

    def copied(self, folder: Path) -> "House":
        """A warehouse of the same content and settings in another folder."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        house = House(
            folder,
            {name: value.replace(str(self.folder), str(folder)) for name, value in self.settings.items()},
        )
        # dbt's reading of the project is of the place of the warehouse.
        (house.state / "dbt" / READING).unlink(missing_ok=True)
        return house

    def start_program(self, *command: str, cwd: Path = PROJECT_ROOT, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=self.environment(more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A test run in the background of a script is born deaf to Ctrl-C, and its children with it.
            preexec_fn=hearing_interrupts,
        )

    def kpi(self, *arguments: str, **more: str) -> Finished:
        """Run kpi to its end; `more` are settings for this run only."""
        return finish(self.start(*arguments, **more))

    def program(self, *command: str, cwd: Path = PROJECT_ROOT, **more: str) -> Finished:
        """Run any program with the same settings."""
        return finish(self.start_program(*command, cwd=cwd, **more))

    def write_events(self, name: str, lines: Iterable[Mapping[str, Any] | str]) -> Path:
        """Write a JSONL file into the events folder; text stands as it is."""
        path = self.events / name
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return path

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse file."""
        with duckdb.connect(str(self.file), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            return connection.execute(sql).fetchall()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the warehouse file open for many questions: to open it takes longer than most answers."""
        with duckdb.connect(str(self.file), read_only=True):
            yield

    def one(self, sql: str) -> Any:
        """The single value that a query gives."""
        [(value,)] = self.rows(sql)
        return value

    def marts(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every mart, in order, without the instants of builds and what was shown by them."""
        names = [
            name
            for (name,) in self.rows(
                "select table_name from information_schema.tables where table_schema = 'kpi_internal'"
                " and table_name not in ('metric_versions', 'metric_restatements') order by 1"
            )
        ]
        shown = "select columns(lambda c: c not in ('created_at', 'computed_at')) from kpi_internal"
        with self.opened():
            return {name: self.rows(f"{shown}.{name} order by all") for name in names}


def finish(process: "subprocess.Popen[str]") -> Finished:
    """Wait for a command that was started."""
    shown, complained = process.communicate(timeout=SECONDS)
    return Finished(process.returncode, shown, complained)


def account(number: int, day: str = "2026-03-02") -> dict[str, Any]:
    """The event of an account that comes into being."""
    return {
        "event_id": f"account-{number}",
        "event_key": "account_created",
        "user_id": f"person-{number}",
        "occurred_at": f"{day}T08:00:00Z",
    }


def attempt(number: int, user: int = 1, day: str = "2026-03-02", error: str | None = None) -> dict[str, Any]:
    """The event of one attempt at the product's core action."""
    metadata = {"session_id": f"session-{number}", "status": "error" if error else "success"}
    return {
        "event_id": f"test-{number}",
        "event_key": "test_completed",
        "service_key": "app",
        "user_id": f"person-{user}",
        "occurred_at": f"{day}T09:00:{number % 60:02d}Z",
        "metadata": metadata | ({"error_code": error} if error else {}),
    }
