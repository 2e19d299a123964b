"""What builds and loads cost: a day on a short and on a long history, everything anew, a year of reports, large loads."""

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb

from bench._events import write_events
from bench._raw_events import EVENTS_A_DAY, write_days

PROJECT = Path(__file__).resolve().parents[1]
LAST_DAY = dt.date(2026, 11, 20)
DAY_BEFORE = LAST_DAY - dt.timedelta(days=1)
ELSEWHERE = ["staging.pushed+", "staging.scraped+", "staging.stripe+"]
SAME_TABLES = "+marts.internal"
"""What the hand-written script makes too: leaves, ledger and published marts are left out."""
MEMORY_LIMIT = "3GB"


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    seconds: float
    processor_seconds: float
    megabytes: float
    slowest: str = ""


@dataclass(frozen=True)
class Sizes:
    """How much is generated; the figures that must be reached are stated for the defaults."""

    short: int
    """Days of the short history."""
    long: int
    whole: int
    """Days of the history that is built anew."""
    lines: int
    """Lines of the large file that is loaded."""


@click.command(help="Build and load on histories of several sizes; each figure beside its yardstick.")
@click.option(
    "--part", "names", multiple=True, help="Measure only this part (several are possible): day, whole, lines."
)
@click.option("--short", default=100, show_default=True, help="Days of the short history.")
@click.option("--long", "long_", default=1000, show_default=True, help="Days of the long history.")
@click.option("--whole", default=333, show_default=True, help="Days of the history that is built anew.")
@click.option(
    "--lines", default=10_000_000, show_default=True, help="Lines of the large file that is loaded."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where warehouses are written, 10 GB at the most.",
)
def main(names: tuple[str, ...], short: int, long_: int, whole: int, lines: int, folder: Path | None) -> None:
    """Generate, measure, print one line a figure, and remove what was generated."""
    unknown = set(names) - set(PARTS)
    if unknown:
        raise click.UsageError(f"There is no part {', '.join(sorted(unknown))}: {', '.join(PARTS)}.")
    print(f"{EVENTS_A_DAY:,} events a day, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before")
    print(f"{'':46} {'seconds':>9} {'processor s':>12} {'memory MB':>10}")
    for name in names or PARTS:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            PARTS[name](Path(temporary), Sizes(short, long_, whole, lines))


def measure_day(folder: Path, sizes: Sizes) -> None:
    """A day of new events into a short and into a long history: loaded, built, then built again with nothing new."""
    loads, builds = [], []
    for days in (0, sizes.short, sizes.long):
        path = folder / f"{days}.duckdb"
        if days:
            write_days(path, epoch(days), 0, days - 1)
            dbt(path, "seed")
            show(f"first build of {days} days", build(path, DAY_BEFORE, "run"))
        if days != sizes.short:
            loads.append(show(f"load of a day after {days} days", load_of_a_day(path)))
            take_back(path)
        if days:
            write_days(path, epoch(days), days, days)
            builds.append(show(f"build of a day after {days} days", build(path, LAST_DAY, "build")))
            show("dbt build with nothing new", build(path, LAST_DAY, "build"))
            kpi_build(path)
            show("kpi build with nothing new", kpi_build(path))
    compare("build of a day, long to short history", builds[1], builds[0], 1.2)
    compare("load of a day, long history to none", loads[1], loads[0], 2)
    write_days(path, epoch(sizes.long), sizes.long + 1, sizes.long + 1)
    show_scans(path)


def show_scans(path: Path) -> None:
    """Tell from DuckDB's profiles how much of the raw table each statement of one more build scanned."""
    result = path.with_suffix(".scans")
    build(path, LAST_DAY, "build", program=["bench._profiled_dbt", str(result)])
    scans = json.loads(result.read_text())
    raw = [scan for scan in scans if scan["table"] == "raw_events.events"]
    most = max(raw, key=lambda scan: int(scan["rows"]))
    with duckdb.connect(str(path), read_only=True) as connection:
        [rows] = connection.execute("select count(*) from raw_events.events").fetchone() or [0]
    print(
        f"the most that one of {len({scan['statement'] for scan in scans})} statements scanned of the raw table: "
        f"{most['rows']:,} of {rows:,} rows, {most['row_groups']} of {most['all_row_groups']} row groups"
    )


def measure_whole(folder: Path, sizes: Sizes) -> None:
    """Everything anew against the hand-written script, and a year of reports against everything anew."""
    path = folder / "whole.duckdb"
    write_days(path, epoch(sizes.whole), 0, sizes.whole - 1)
    dbt(path, "seed")
    by_hand = show("hand-written script", hand_written(path))
    same = show(
        "full refresh, the same tables",
        build(path, DAY_BEFORE, "run", "--full-refresh", "--select", SAME_TABLES),
    )
    compare("the same tables to hand-written script", same, by_hand, 1.5)
    refresh = show("full refresh of everything", build(path, DAY_BEFORE, "run", "--full-refresh"))
    first = DAY_BEFORE - dt.timedelta(days=364)
    year = show("backfill of 365 report dates", build(path, DAY_BEFORE, "run", backfill_from=first))
    compare("backfill to full refresh", year, refresh, 3)


def measure_lines(folder: Path, sizes: Sizes) -> None:
    """A large file of JSON lines, loaded by the events source and by DuckDB alone."""
    events = folder / "events.jsonl"
    write_events(events, sizes.lines)
    million = f"{sizes.lines / 1e6:g} million lines"
    alone = show(f"DuckDB alone, {million}", contestant("duckdb", events))
    ours = show(f"events source, {million}", contestant("ours", events))
    compare("events source to DuckDB alone", ours, alone, 2)


PARTS: dict[str, Callable[[Path, Sizes], None]] = {
    "day": measure_day,
    "whole": measure_whole,
    "lines": measure_lines,
}


def epoch(days: int) -> str:
    """First day of a history whose next day is the last one measured."""
    return str(LAST_DAY - dt.timedelta(days=days))


def build(
    path: Path,
    report_date: dt.date,
    *arguments: str,
    backfill_from: dt.date | None = None,
    program: list[str] | None = None,
) -> Cost:
    """Run dbt for one report date as `kpi build` does, events only."""
    dates = {"KPI_REPORT_DATE": report_date.isoformat()}
    if backfill_from:
        dates |= {"KPI_BACKFILL_FROM": backfill_from.isoformat(), "KPI_BACKFILL_TO": report_date.isoformat()}
    only = ["--exclude-resource-type", "unit_test"] if "build" in arguments else []
    return dbt(path, *arguments, *only, program=program, **dates)


def kpi_build(path: Path) -> Cost:
    """Build as users do, all sources; where nothing has changed since the last time, that is all that is done."""
    command = [str(Path(sys.executable).parent / "kpi"), "build", "--date", str(LAST_DAY)]
    return measured(command, {"KPI_DUCKDB_PATH": str(path), "KPI_MEMORY_LIMIT": MEMORY_LIMIT})


def dbt(path: Path, *arguments: str, program: list[str] | None = None, **variables: str) -> Cost:
    """Run one dbt command in a process of its own."""
    state = path.with_suffix(".dbt")
    cost = measured(
        [
            *(sys.executable, "-m", *(program or ["pipelines.dbt_process"])),
            *("--quiet", *arguments, "--exclude", *ELSEWHERE),
            *("--target-path", str(state), "--log-path", str(state)),
        ],
        {
            "DBT_PROFILES_DIR": str(PROJECT / "profiles"),
            "KPI_DUCKDB_PATH": str(path),
            "KPI_MEMORY_LIMIT": MEMORY_LIMIT,
            **variables,
        },
    )
    nodes = json.loads((state / "run_results.json").read_text())["results"]
    times = sorted(
        ((node["execution_time"], node["unique_id"].split(".")[2]) for node in nodes), reverse=True
    )
    return Cost(
        cost.seconds,
        cost.processor_seconds,
        cost.megabytes,
        ", ".join(f"{name} {seconds:.1f}" for seconds, name in times[:3]),
    )


def load_of_a_day(path: Path) -> Cost:
    """Load a file with the events of one day, as `kpi ingest events` does."""
    events = path.with_suffix(".jsonl")
    write_events(events, EVENTS_A_DAY)
    return measured(
        [str(Path(sys.executable).parent / "kpi"), "ingest", "events"],
        {
            "KPI_DUCKDB_PATH": str(path),
            "SOURCES__EVENTS__PATH": str(events),
            "SOURCES__EVENTS__PRESET": "native",
            "KPI_USER_KEY": "u" * 32,
            "KPI_RECORD_KEY": "r" * 32,
        },
    )


def take_back(path: Path) -> None:
    """Remove the day that was loaded: the generated days go on where they were."""
    with duckdb.connect(str(path)) as connection:
        for table in ("events", "files"):
            connection.execute(
                f"delete from raw_events.{table} where source_file like '%.jsonl' and source_file not like 'day%'"
            )


def contestant(name: str, events: Path) -> Cost:
    """Load a file in a process of its own, by `bench._contestants`."""
    done = subprocess.run(
        [sys.executable, "-m", "bench._contestants", name, str(events)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    )
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def hand_written(path: Path) -> Cost:
    """Run the hand-written script, then remove what it made."""
    cost = measured([sys.executable, "-m", "bench.builds", "by-hand", str(path)], {})
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop schema hand cascade")
    return cost


def run_hand_written(path: Path) -> None:
    """Execute the yardstick with the settings that the profile gives to dbt."""
    script = (Path(__file__).parent / "_hand_written.sql").read_text()
    with duckdb.connect(str(path), config={"memory_limit": MEMORY_LIMIT}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(script.format(report_date=DAY_BEFORE))


def measured(command: list[str], variables: dict[str, str]) -> Cost:
    """Run a command and read the clock, the processor's time and the most memory that it held."""
    started = time.perf_counter()
    inherited = dict(os.environ)  # noqa: TID251 - the same for every contestant
    process = subprocess.Popen(
        command, cwd=PROJECT, env=inherited | variables, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - started
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def show(title: str, cost: Cost) -> Cost:
    """Print one cost and give it back."""
    print(
        f"{title:46} {cost.seconds:9.1f} {cost.processor_seconds:12.1f} {cost.megabytes:10,.0f}  {cost.slowest}",
        flush=True,
    )
    return cost


def compare(title: str, cost: Cost, yardstick: Cost, goal: float) -> None:
    """Print one ratio: of the clock, and of the processor's time."""
    seconds = cost.seconds / yardstick.seconds
    processor = cost.processor_seconds / yardstick.processor_seconds
    print(f"{title:46} {seconds:8.2f}x {processor:11.2f}x  (at most {goal:g}x)", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["by-hand"]:
        run_hand_written(Path(sys.argv[2]))
    else:
        main()
