"""What it costs to compute the revenue of an account with many subscriptions, all of it anew."""

import json
import sys
import tempfile
from pathlib import Path

import click

from bench._raw_stripe import write_account
from bench.builds import MEMORY_LIMIT, PROJECT, Cost, measured, show

MARTS = ("daily_invoices", "daily_mrr", "monthly_mrr", "daily_mrr_converted", "mrr_by_subscription")
MARTS_AS_OF_NOW = ("mrr_at_risk", "mrr_policy_bridge", "mrr_invoice_bridge")


@click.command(
    help="Build the marts of money from an account that is made up: models, then their data tests."
)
@click.option("--subscriptions", default=20_000, show_default=True, help="Each has 10 invoices at most.")
@click.option(
    "--folder", type=click.Path(path_type=Path, file_okay=False), help="Where the warehouse is written."
)
def main(subscriptions: int, folder: Path | None) -> None:
    """Generate, build, print one line a step, and remove what was generated."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        path = Path(temporary) / "money.duckdb"
        rows = write_account(path, subscriptions)
        print(", ".join(f"{number:,} {name}" for name, number in rows.items()))
        print(f"{'':46} {'seconds':>9} {'processor s':>12} {'memory MB':>10}")
        show("models", dbt(path, "run"))
        show("data tests", dbt(path, "test"))


def dbt(path: Path, command: str) -> Cost:
    """Run one dbt command on the marts of money and all that they are made from."""
    state = path.with_suffix(".dbt")
    if command == "run":
        measured(_arguments(path, "seed"), _variables(path))
    cost = measured(_arguments(path, command), _variables(path))
    nodes = json.loads((state / "run_results.json").read_text())["results"]
    times = sorted(
        ((node["execution_time"], node["unique_id"].split(".")[2]) for node in nodes), reverse=True
    )
    slowest = ", ".join(f"{name} {seconds:.1f}" for seconds, name in times[:5])
    return Cost(cost.seconds, cost.processor_seconds, cost.megabytes, slowest)


def _arguments(path: Path, command: str) -> list[str]:
    state = str(path.with_suffix(".dbt"))
    only = ["--exclude-resource-type", "unit_test"] if command == "test" else []
    return [
        *(sys.executable, "-m", "pipelines.dbt_process", "--quiet", command, *only),
        *("--select", *(f"+{mart}" for mart in (*MARTS, *MARTS_AS_OF_NOW))),
        *("--indirect-selection", "cautious", "--target-path", state, "--log-path", state),
    ]


def _variables(path: Path) -> dict[str, str]:
    return {
        "DBT_PROFILES_DIR": str(PROJECT / "profiles"),
        "KPI_DUCKDB_PATH": str(path),
        "KPI_MEMORY_LIMIT": MEMORY_LIMIT,
    }


if __name__ == "__main__":
    main()
