"""How fast invoices come from Stripe into the warehouse, against the SDK's own way through the same list."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

PROJECT = Path(__file__).resolve().parents[1]
NAMES = {
    "sdk": "SDK, sequential auto-paging",
    "read": "ours, read and checked",
    "sync": "ours, whole sync into DuckDB",
}
LARGER = 4

Figures = dict[str, float]


@click.command(
    help="Read all invoices with their lines: the SDK's auto-paging, and the project's sync, in turn."
)
@click.option("--invoices", default=20_000, show_default=True, help="Invoices of the account, 3 lines each.")
@click.option("--repetitions", default=3, show_default=True, help="Runs of each, in turn; medians are shown.")
@click.option(
    "--latency", "latencies", multiple=True, default=(0, 150), show_default=True, help="ms a request."
)
def main(invoices: int, repetitions: int, latencies: tuple[int, ...]) -> None:
    """Measure in turn, print medians, ratios and memory."""
    print(f"{invoices:,} invoices, {os.cpu_count()} cores; the server is a process of its own")
    print(f"{'':44} {'seconds':>8} {'faster':>8} {'processor s':>12} {'MB grown':>9}")
    for latency in latencies:
        with server(invoices, latency) as address:
            runs: dict[str, list[Figures]] = {name: [] for name in NAMES}
            for _ in range(repetitions):
                for name, figures in runs.items():
                    figures.append(measure(name, address))
        for name, figures in runs.items():
            ratio = statistics.median(
                base["seconds"] / run["seconds"] for run, base in zip(figures, runs["sdk"], strict=True)
            )
            show(f"{NAMES[name]}, {latency} ms", figures, f"{ratio:7.1f}x")
    with server(invoices * LARGER, 0) as address:
        show(f"{NAMES['read']}, {LARGER} times the invoices", [measure("read", address)], "")


@contextmanager
def server(invoices: int, latency: int) -> Iterator[str]:
    """Serve invoices while this is entered; gives the address."""
    command = [sys.executable, "-m", "bench._stripe_server", str(invoices), str(latency)]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def measure(contestant: str, address: str) -> Figures:
    """Run one contestant in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "bench._stripe_contestants", contestant, address],
        check=True,
        stdout=subprocess.PIPE,
        cwd=PROJECT,
    )
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def show(title: str, runs: list[Figures], ratio: str) -> None:
    """Print one line of medians."""
    seconds, processor, grown = (
        statistics.median(values)
        for values in (
            [run["seconds"] for run in runs],
            [run["processor_seconds"] for run in runs],
            [run["megabytes"] - run["megabytes_before"] for run in runs],
        )
    )
    print(f"{title:44} {seconds:8.2f} {ratio:>8} {processor:12.2f} {grown:9,.0f}")


if __name__ == "__main__":
    main()
