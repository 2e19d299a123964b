"""Stops the real `kpi` where it hurts: at the n-th step that it takes in its files, or after some time.

A step is a file below the warehouse's folder that is opened for writing, moved or removed. Python tells of it just
before it happens, so that what was done before (a commit of DuckDB's, for one) is done, and the step is not. dlt moves
a file at every boundary between extract, normalise and load and after every load job; dbt writes a file before it runs
each model.
"""

import datetime as dt
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import duckdb
from command_support import BIN, RECORD_KEY, TODAY, USER_KEY, House, account, attempt, finish

from pipelines.demo.page_server import PageServer
from pipelines.demo.stripe_account import Item, Line
from pipelines.demo.stripe_server import StripeServer
from pipelines.warehouse import PROJECT_ROOT

KILLED = -signal.SIGKILL
SECONDS_TO_FOLLOW = 5.0

Way = Literal["kill all", "kill kpi", "stop"]

# Python runs a module of this name at its start, wherever it lies on PYTHONPATH.
HOOK_NAME = "sitecustomize.py"
HOOK = """
import itertools, json, os, re, signal, sys, time

FOLDER, LOG, STRIKE, CLOCK = json.loads({settings!r})
IS_CHILD = "FAULTS_CHILD" in os.environ
os.environ["FAULTS_CHILD"] = "1"
NUMBERS = itertools.count(1)
LOG_FILE = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if LOG else None
REAL_TIME = time.time
if CLOCK:
    time.time = lambda: REAL_TIME() + CLOCK


def step(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        is_write = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else set(mode or "") & set("wax+")
        if not is_write:
            return
    elif event == "os.rename":
        path = arguments[1]
    elif event == "os.remove":
        path = arguments[0]
    else:
        return
    try:
        path = os.fsdecode(path)
    except TypeError:
        return
    if not path.startswith(FOLDER):
        return
    text = ("dbt " if IS_CHILD else "kpi ") + event + " " + path[len(FOLDER):]
    if LOG_FILE is not None:
        os.write(LOG_FILE, (text + "\\n").encode())
    if STRIKE and re.search(STRIKE[1], text) and next(NUMBERS) == STRIKE[2]:
        if STRIKE[0] == "kill all":
            os.killpg(0, signal.SIGKILL)
        elif STRIKE[0] == "kill kpi":
            os.kill(os.getppid() if IS_CHILD else os.getpid(), signal.SIGKILL)
        else:
            with open(FOLDER + "/hook/stopped.new", "w") as file:
                file.write(str(os.getpid()))
            os.rename(FOLDER + "/hook/stopped.new", FOLDER + "/hook/stopped")
            os.kill(os.getpid(), signal.SIGSTOP)


sys.addaudithook(step)
"""


@dataclass(frozen=True)
class Strike:
    """What happens at the n-th step that matches a pattern, such as `dbt open .*/run/kpi/models/`."""

    pattern: str = ""
    number: int = 1
    way: Way = "kill all"


def hooked(
    house: House, *arguments: str, strike: Strike | None = None, log: Path | None = None, clock: float = 0
) -> "subprocess.Popen[str]":
    """Start kpi in a process group of its own, with the hook in it and in what it starts."""
    folder = house.folder / "hook"
    folder.mkdir(exist_ok=True)
    aim = [strike.way, strike.pattern, strike.number] if strike else None
    settings = json.dumps([str(house.folder), str(log) if log else None, aim, clock])
    (folder / HOOK_NAME).write_text(HOOK.format(settings=settings), encoding="utf-8")
    house.lend_reading(arguments[0])
    return subprocess.Popen(
        [str(BIN / "kpi"), *arguments],
        cwd=PROJECT_ROOT,
        env=house.environment({"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def struck(house: House, *arguments: str, strike: Strike) -> bool:
    """Run kpi into a strike that kills; False where it ended before it came to it."""
    process = hooked(house, *arguments, strike=strike)
    return _is_killed(house, process)


def _is_killed(house: House, process: "subprocess.Popen[str]") -> bool:
    """Wait for the end of kpi, and of dbt, which must follow it soon wherever it was."""
    ended = finish(process)
    assert ended.code in {0, KILLED}, ended.text
    patience = time.monotonic() + SECONDS_TO_FOLLOW
    while house.file.exists():
        try:
            duckdb.connect(str(house.file), read_only=True).close()
            break
        except duckdb.IOException:
            assert time.monotonic() < patience, "somebody still holds the warehouse"
            time.sleep(0.05)
    return ended.code == KILLED


def stopped(house: House, process: "subprocess.Popen[str]") -> int:
    """Wait until a strike has stopped kpi, or dbt below it; give the id of the process that stands still."""
    sign = house.folder / "hook" / "stopped"
    while not sign.exists():
        assert process.poll() is None, finish(process).text
        time.sleep(0.05)
    return int(sign.read_text())


def killed_after(house: House, *arguments: str, seconds: float) -> bool:
    """Kill kpi and all that it started after some time; False where it ended before."""
    process = hooked(house, *arguments)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    return _is_killed(house, process)


Content = dict[str, list[tuple[Any, ...]]]
"""The rows of tables, in order."""

# When something was read, loaded or built, and by which load, differs from run to run.
INSTANTS = {
    "created_at",
    "computed_at",
    "loaded_at",
    "requested_at",
    "checked_at",
    "observed_at",
    "parsed_at",
}
# How far the syncs with Stripe have come, which is told in instants of their own.
PROGRESS = {
    "raw_stripe.resources": {
        *("listing_at", "covered_from_at", "covered_through_at", "complete_at", "backfilled_at"),
        *("cursor_at", "cursor_seen_at"),
    },
    "raw_stripe.windows": {"listing_at", "starts_at", "ends_at"},
}

SHOWN = {"metric_versions", "metric_restatements"}


def content(house: House, *schemas: str) -> Content:
    """Every row of every table of some schemas, but the instants and marks of the runs that made it."""
    columns = house.rows(
        "select table_schema || '.' || table_name, list(column_name order by ordinal_position) "
        "from information_schema.columns group by all order by 1"
    )
    asked = {}
    for table, names in columns:
        schema, _, name = table.partition(".")
        # What was shown when is the history of the builds, and not a function of what is known.
        if schema in schemas and not name.startswith("_dlt") and name not in SHOWN:
            left_out = INSTANTS | PROGRESS.get(table, set())
            kept = ", ".join(
                column for column in names if column not in left_out and not column.startswith("_dlt")
            )
            asked[table] = f"select {kept} from {table} order by all"
    with house.opened():
        return {table: house.rows(query) for table, query in asked.items()}


RAW = ("raw_events", "raw_stripe", "raw_scraped", "raw_pushed")
MARTS = ("kpi_internal",)


def _schemas(tables: Content) -> set[str]:
    return {table.partition(".")[0] for table in tables}


def differences(want: Content, have: Content) -> list[str]:
    """Name the tables that are not the same, with the rows that are too few or too many."""
    found = [
        f"{table} is missing"
        for table in want
        if table.partition(".")[0] in _schemas(have) and table not in have
    ]
    for table in want.keys() & have.keys():
        if want[table] != have[table]:
            few = [row for row in want[table] if row not in have[table]]
            many = [row for row in have[table] if row not in want[table]]
            found.append(
                f"{table}: {len(want[table])} rows wanted, {len(have[table])} found; "
                f"missing {few[:3]}, too much {many[:3]}"
            )
    return found


def torn(house: House, before: Content, after: Content) -> list[str]:
    """Name the marts that are neither wholly as before a build nor wholly as after it."""
    now = content(house, *MARTS)
    return [
        table for table in before if now.get(table) not in (before[table], after.get(table, before[table]))
    ]


def day(number: int) -> dt.date:
    """The date of the n-th day of input; the third and last one is today."""
    return TODAY - dt.timedelta(days=3 - number)


def write_day(house: House, number: int) -> None:
    """Let the event files of one day arrive."""
    today = day(number).isoformat()
    first = number * 100
    lines: list[Any] = [
        account(first, today),
        account(first + 1, today),
        *(attempt(first + n, first + n % 2, today, "camera_too_far" if n % 3 else None) for n in range(12)),
        attempt(first, first, today),
        {**attempt(first + 1, first, today), "occurred_at": f"{today}T23:00:00Z"},
        "{broken",
        {**account(first + 2, today), "occurred_at": None},
    ]
    if number > 1:
        # Known ones again, another meaning for one of them, and some that come late.
        lines += [
            attempt(first - 100, first - 100, day(number - 1).isoformat()),
            {**attempt(first - 99, first, today), "service_key": "web"},
            *(
                attempt(first + n, first - 100, (day(number) - dt.timedelta(days=n)).isoformat())
                for n in range(20, 90, 17)
            ),
        ]
        grown = house.events / f"grows-{number - 1}.jsonl"
        grown.write_text(grown.read_text() + json.dumps(attempt(first + 95, first, today)) + "\n")
    house.write_events(f"day-{number}.jsonl", lines)
    house.write_events(
        f"grows-{number}.jsonl", [attempt(first + 90, first, today), attempt(first + 91, first + 1, today)]
    )
    for path in house.events.iterdir():
        # Copies of a file in two warehouses are the same file.
        os.utime(path, (0, path.stat().st_size))


@dataclass
class Outside:
    """What there is to load beside event files."""

    stripe: StripeServer
    site: PageServer

    def connect(self, house: House) -> None:
        """Configure both for a warehouse."""
        targets = house.folder / "scraped.toml"
        targets.write_text(
            f'[[target]]\nmetric_key = "readers"\nurl = "{self.site.url}/about"\ncss = "#subscribers"\ndecimal = "."\n'
        )
        house.settings |= {
            "SOURCES__STRIPE__API_KEY": self.stripe.api_key,
            "SOURCES__STRIPE__BASE_URL": self.stripe.base_url,
            "SOURCES__SCRAPED__TARGETS": str(targets),
        }

    def bill(self, number: int) -> None:
        """Let invoices of a day be written, and some of the day before be paid."""
        account, noon = self.stripe.account, dt.datetime.combine(day(number), dt.time(12), dt.UTC)
        customer = account.add_customer(created=noon, name="Person", email="person@example.org")
        for lines in (1, 3):
            account.add_invoice(
                customer, "usd", [Line(700 + n) for n in range(lines)], created=noon, status="open", at=noon
            )
        for invoice in account.listed("invoices") if number > 1 else ():
            if invoice["status"] == "open":
                account.pay(invoice["id"], at=noon)
                break

    def subscribe(self, number: int) -> None:
        """Let somebody subscribe on a day, and what others had subscribed to grow."""
        account, noon = self.stripe.account, dt.datetime.combine(day(number), dt.time(12), dt.UTC)
        price = account.add_price(account.add_product("Seats", created=noon), "usd", 900, created=noon)
        for subscription in account.listed("subscriptions"):
            account.set_items(subscription["id"], [Item(price, number)])
        account.add_subscription(account.add_customer(created=noon), [Item(price)], created=noon)


@contextmanager
def outside() -> Iterator[Outside]:
    """A loopback Stripe and web page, with the bills of the first day."""
    with StripeServer() as stripe, PageServer() as site:
        around = Outside(stripe, site)
        around.bill(1)
        yield around


def new_house(folder: Path) -> House:
    """A warehouse with fixed keys and nothing in it."""
    return House(folder, {"KPI_USER_KEY": USER_KEY, "KPI_RECORD_KEY": RECORD_KEY})
