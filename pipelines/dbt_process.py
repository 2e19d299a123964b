"""dbt as a process of its own that ends with the one that started it.

Standard input is the bond: when the process that holds its other end is gone, however it went, input ends. dbt alone
would go on building, and keep the warehouse file from the next run.
"""

import gc
import os
import signal
import sys
import threading


def main() -> None:
    """Run dbt with the arguments of this process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What dbt makes lives as long as the process; looking for garbage among it takes an eighth of its time.
    gc.disable()
    limit = os.environ.pop("KPI_MAX_BYTES", None)  # noqa: TID251 - set for this process by pipelines/build.py
    if limit:
        from google.cloud import bigquery

        from pipelines.bytes_budget import BytesBudget

        BytesBudget(int(limit)).watch(bigquery.Client)
    from dbt.cli.main import cli

    cli()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    # As sudden as the end of the other one: DuckDB leaves the tables as they were before the statement.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


if __name__ == "__main__":
    main()
