"""What a build costs: a day on a short and on a long history, everything anew, and a year of reports."""

import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import duckdb

from bench._raw_events import EVENTS_A_DAY, write_days

PROJECT = Path(__file__).resolve().parents[1]
LAST_DAY = dt.date(2026, 11, 20)
ELSEWHERE = ["staging.scraped+", "staging.stripe+"]


@dataclass(frozen=True)
class Cost:
    """What one run took."""

    seconds: float
    processor_seconds: float
    megabytes: float
    slowest: list[tuple[float, str]]


@click.command(help="Build on histories of several sizes: a new day, everything anew, a year of reports.")
@click.option("--short", default=100, show_default=True, help="Days of the short history.")
@click.option("--long", "long_", default=1000, show_default=True, help="Days of the long history.")
@click.option("--whole", default=333, show_default=True, help="Days of the history that is built anew.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where warehouses are written."
)
def main(short: int, long_: int, whole: int, folder: Path | None) -> None:
    """Generate, measure, print one line a figure."""
    print(f"{EVENTS_A_DAY:,} events a day, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        daily = [one_day(Path(temporary) / f"{days}.duckdb", days) for days in (short, long_)]
        show("nothing new, short history", daily[0][0])
        show(f"one new day after {short} days", daily[0][1])
        show(f"one new day after {long_} days", daily[1][1])
        print(f"{'ratio of the two':40} {daily[1][1].seconds / daily[0][1].seconds:9.2f}x (must reach 1.2)")
        everything(Path(temporary) / "whole.duckdb", whole)


def one_day(path: Path, days: int) -> tuple[Cost, Cost]:
    """Build a history, then nothing new, then one more day; each after a first build that is not measured."""
    write_history(path, days)
    seed(path)
    build(path, LAST_DAY - dt.timedelta(days=1), "build")
    idle = build(path, LAST_DAY - dt.timedelta(days=1), "build")
    write_days(path, epoch(days), days, days)
    new_day = build(path, LAST_DAY, "build")
    path.unlink()
    return idle, new_day


def everything(path: Path, days: int) -> None:
    """Compare a full refresh with the hand-written script, and a year of reports with a full refresh."""
    write_history(path, days)
    seed(path)
    by_hand = hand_written(path)
    refresh = build(path, LAST_DAY - dt.timedelta(days=1), "run", "--full-refresh")
    show("hand-written script", by_hand)
    show("full refresh", refresh)
    print(f"{'ratio of the two':40} {refresh.seconds / by_hand.seconds:9.2f}x (must reach 1.5)")
    first, last = LAST_DAY - dt.timedelta(days=365), LAST_DAY - dt.timedelta(days=1)
    year = build(path, last, "run", backfill_from=first)
    show("365 report dates more", year)
    print(f"{'ratio to a full refresh':40} {year.seconds / refresh.seconds:9.2f}x (must reach 3)")
    path.unlink()


def epoch(days: int) -> str:
    """First day of a history whose next day is the last one measured."""
    return str(LAST_DAY - dt.timedelta(days=days))


def write_history(path: Path, days: int) -> None:
    """Make the raw tables of the days before the last one."""
    write_days(path, epoch(days), 0, days - 1)


def seed(path: Path) -> None:
    """Load the seeds."""
    dbt(path, "seed")


def build(path: Path, report_date: dt.date, *arguments: str, backfill_from: dt.date | None = None) -> Cost:
    """Run dbt for one report date as `kpi build` does, events only."""
    variables = {"report_date": report_date.isoformat()}
    if backfill_from:
        variables |= {"backfill_from": backfill_from.isoformat(), "backfill_to": report_date.isoformat()}
    return dbt(path, *arguments, "--vars", json.dumps(variables))


def dbt(path: Path, *arguments: str) -> Cost:
    """Run one dbt command in a process of its own."""
    state = path.with_suffix(".dbt")
    return measured(
        [
            *(sys.executable, "-m", "dbt.cli.main", "--quiet", *arguments, "--exclude", *ELSEWHERE),
            *("--target-path", str(state), "--log-path", str(state)),
        ],
        {"DBT_PROFILES_DIR": str(PROJECT / "profiles"), "KPI_DUCKDB_PATH": str(path)},
        state / "run_results.json",
    )


def hand_written(path: Path) -> Cost:
    """Run the hand-written script, then remove what it made."""
    cost = measured([sys.executable, "-m", "bench.builds", "by-hand", str(path)], {}, None)
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop schema hand cascade")
    return cost


def measured(command: list[str], variables: dict[str, str], results: Path | None) -> Cost:
    """Run a command and read the clock, the processor's time, the memory and what was slowest."""
    started = time.perf_counter()
    everything_else = dict(os.environ)  # noqa: TID251 - the same for every contestant
    process = subprocess.Popen(command, cwd=PROJECT, env=everything_else | variables)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - started
    slowest: list[tuple[float, str]] = []
    if results:
        nodes = json.loads(results.read_text())["results"]
        slowest = sorted(
            ((node["execution_time"], node["unique_id"].split(".")[2]) for node in nodes), reverse=True
        )
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000, slowest[:4])


def run_hand_written(path: Path) -> None:
    """Execute the yardstick with the settings that the profile gives to dbt."""
    script = (Path(__file__).parent / "_hand_written.sql").read_text()
    with duckdb.connect(str(path), config={"memory_limit": "3GB"}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(script.format(report_date=LAST_DAY - dt.timedelta(days=1)))


def show(title: str, cost: Cost) -> None:
    """Print one figure."""
    slowest = ", ".join(f"{name} {seconds:.1f}" for seconds, name in cost.slowest)
    print(
        f"{title:40} {cost.seconds:8.1f} s {cost.processor_seconds:8.1f} processor s {cost.megabytes:7,.0f} MB  {slowest}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["by-hand"]:
        run_hand_written(Path(sys.argv[2]))
    else:
        main()
