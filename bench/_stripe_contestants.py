"""One measured reading of all invoices: `python -m bench._stripe_contestants NAME BASE_URL`, one line of JSON out."""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import stripe

from pipelines.sources.stripe import load
from pipelines.sources.stripe.batches import Batch, Mode
from pipelines.sources.stripe.client import StripeApi
from pipelines.sources.stripe.listing import Window, listed
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import RESOURCES
from pipelines.warehouse import Warehouse

KEY = "sk_test_bench"


def sdk(base_url: str, _: Path) -> int:
    """The SDK's own way through a list, page after page."""
    client = stripe.StripeClient(KEY, base_addresses={"api": base_url})
    return sum(
        len(invoice.lines.data) for invoice in client.v1.invoices.list({"limit": 100}).auto_paging_iter()
    )


def read(base_url: str, _: Path) -> int:
    """The project's reading: rows of the raw tables, checked and as columns, and nothing stored."""
    reader, lines = Reader(StripeApi(KEY, base_url=base_url), Mode(False)), 0
    for batch in listed(reader, [Window(RESOURCES["invoices"], 0)], reader.api.threads):
        assert isinstance(batch, Batch)
        tables = batch.tables()
        lines += tables["invoice_lines"].num_rows if tables else 0
    return lines


def sync(base_url: str, folder: Path) -> int:
    """A whole first sync into a new warehouse, as a user runs it, without the budget of requests."""
    warehouse = Warehouse("duckdb", folder / "warehouse.duckdb", "", "UTC")
    report = load(warehouse, lambda line: None, StripeApi(KEY, base_url=base_url))
    assert not report.failures, report.failures
    return report.rows["invoice_lines"]


CONTESTANTS: dict[str, Callable[[str, Path], int]] = {"sdk": sdk, "read": read, "sync": sync}


def main() -> None:
    """Run one contestant and print its seconds, what it read and the most memory that it held."""
    name, base_url = sys.argv[1], sys.argv[2]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        start, processor = time.perf_counter(), time.process_time()
        lines = CONTESTANTS[name](base_url, Path(folder))
        seconds, processor = time.perf_counter() - start, time.process_time() - processor
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps(
            {
                "seconds": seconds,
                "processor_seconds": processor,
                "lines": lines,
                "megabytes": megabytes,
                "megabytes_before": before,
            }
        )
    )


if __name__ == "__main__":
    main()
