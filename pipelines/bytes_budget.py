"""A limit on what all statements of one build may read on BigQuery, held by BigQuery's own estimates.

Each statement is tried as a dry run first, which costs nothing. What it would read is added up, and the statement that
would go over the limit is not run. A script cannot be estimated beforehand: it runs with what is left as its own limit.
"""

import copy
import threading
from typing import Any

from google.api_core.exceptions import BadRequest


class BytesBudget:
    """Wraps the `query` of Google's client for one process."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._lock = threading.Lock()

    def watch(self, client_class: Any) -> None:
        """Hold every client of a class to the limit from now on."""
        run = client_class.query

        def query(client: Any, text: str, job_config: Any = None, **options: Any) -> Any:
            # A dry run makes no job, and so takes no name from one.
            unnamed = {name: value for name, value in options.items() if name != "job_id"}
            config = self._checked(lambda trial: run(client, text, job_config=trial, **unnamed), job_config)
            return run(client, text, job_config=config, **options)

        client_class.query = query

    def _checked(self, run: Any, job_config: Any) -> Any:
        from google.cloud.bigquery import QueryJobConfig

        config = copy.deepcopy(job_config) if job_config else QueryJobConfig()
        if config.dry_run:
            return config
        trial = copy.deepcopy(config)
        trial.dry_run, trial.use_query_cache = True, False
        needed = int(run(trial).total_bytes_processed or 0)
        with self._lock:
            if self.used + needed > self.limit:
                raise BadRequest(  # type: ignore[no-untyped-call]
                    f"This statement would read {needed:,} bytes; {self.used:,} of the {self.limit:,} that --max-bytes "
                    "allows are used.",
                    errors=[{"reason": "bytesBilledLimitExceeded", "message": "over --max-bytes"}],
                )
            self.used += needed
            left = self.limit - self.used + needed
        limits = [each for each in (config.maximum_bytes_billed, left) if each is not None]
        # Less than what BigQuery bills of the smallest query would refuse everything.
        config.maximum_bytes_billed = max(min(limits), SMALLEST_BILL)
        return config


SMALLEST_BILL = 20 << 20
"""Bytes: BigQuery bills 10 MiB for each table of a query at least."""
