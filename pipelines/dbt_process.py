"""dbt as a process of its own that ends with the one that started it.

Standard input is the bond: when the process that holds its other end is gone, however it went, input ends. dbt alone
would go on building, and keep the warehouse file from the next run.
"""

import gc
import os
import signal
import sys
import threading

MAX_BYTES = "--max-bytes"


def main() -> None:
    """Run dbt with the arguments of this process; before them may stand what it may read on BigQuery."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # What dbt makes lives as long as the process; looking for garbage among it takes an eighth of its time.
    gc.disable()
    if sys.argv[1:2] == [MAX_BYTES]:
        from google.cloud import bigquery

        from pipelines.bytes_budget import BytesBudget

        BytesBudget(int(sys.argv[2])).watch(bigquery.Client)
        del sys.argv[1:3]
    from dbt.cli.main import cli

    cli()


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    # As sudden as the end of the other one: DuckDB leaves the tables as they were before the statement.
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


if __name__ == "__main__":
    main()
