"""How fast events get into the warehouse, against DuckDB alone and against rows as dicts through dlt."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from bench._events import write_events

DICT_SHARE = 20
"""Rows as dicts are so slow that they are measured on one row in so many, and scaled up."""
LARGER = 4

Figures = dict[str, float]


@click.command(help="Load a JSON-lines file of events: DuckDB alone, the events source, rows as dicts.")
@click.option("--events", default=1_000_000, show_default=True, help="Events in the file.")
@click.option("--repetitions", default=5, show_default=True, help="Runs of each, in turn; medians are shown.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where the files are written."
)
def main(events: int, repetitions: int, folder: Path | None) -> None:
    """Generate, measure in turn, print medians, ratios and memory."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        small, whole, large = (Path(temporary) / f"{name}.jsonl" for name in ("small", "whole", "large"))
        write_events(small, max(events // DICT_SHARE, 1))
        write_events(whole, events)
        size = whole.stat().st_size
        print(
            f"{events:,} events, {size / 1e6:,.0f} MB, {size / events:.0f} bytes each, {os.cpu_count()} cores"
        )
        runs: dict[str, list[Figures]] = {"duckdb": [], "ours": [], "dicts": []}
        for _ in range(repetitions):
            for name, file in (("duckdb", whole), ("ours", whole), ("dicts", small)):
                runs[name].append(measure(name, file))
        for figures in runs["dicts"]:
            for unit in ("seconds", "processor_seconds"):
                figures[unit] *= DICT_SHARE
        show(runs)
        write_events(large, events * LARGER)
        more = measure("ours", large)
        print(
            f"events source, file {LARGER} times as large: {more['seconds']:.1f} s, {more['megabytes']:,.0f} MB of memory"
            f" (with the file above: {median(runs['ours'], 'megabytes'):,.0f} MB)"
        )


def measure(contestant: str, events: Path) -> Figures:
    """Run one contestant in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench._contestants", contestant, str(events)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[1],
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def median(runs: list[Figures], unit: str) -> float:
    """The middle of several runs."""
    return statistics.median(run[unit] for run in runs)


def show(runs: dict[str, list[Figures]]) -> None:
    """Print the table of medians, with the ratio to DuckDB alone within each round."""
    titles = {
        "duckdb": "DuckDB alone (read_json)",
        "ours": "events source",
        "dicts": f"dicts through dlt (1/{DICT_SHARE} of the rows, scaled)",
    }
    print(f"{'':48} {'seconds':>8} {'ratio':>7} {'processor s':>12} {'memory MB':>10}")
    for name, figures in runs.items():
        ratio = statistics.median(
            run["seconds"] / base["seconds"] for run, base in zip(figures, runs["duckdb"], strict=True)
        )
        print(
            f"{titles[name]:48} {median(figures, 'seconds'):8.2f} {ratio:6.2f}x"
            f" {median(figures, 'processor_seconds'):12.2f} {median(figures, 'megabytes'):10,.0f}"
        )


if __name__ == "__main__":
    main()
