"""A company as hard as it comes, loaded twice: what its raw tables hold before each of two builds.

Events come through the real loader: copies, conflicts, late ones, broken lines, ids in many spellings, around the night in
which Berlin's clocks go forward; somebody has been erased. Between the builds everything changes: late events restate old
days, money moves (billing), figures are pushed anew, scraped ones break, rates of exchange come late.
"""

import atexit
import datetime as dt
import re
import shutil
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import duckdb
from marts_support import RECORD_KEY, USER_KEY, Company
from mrr_support import Raw
from strategies import CLOCKS, laid_out, large_history

from bigquery.billing import bill
from bigquery.engine import Path3, Table
from pipelines.privacy.forget import forget
from pipelines.sources import ensure_tables, pushed
from pipelines.sources.pushed.csv_files import push_file
from pipelines.sources.stripe.tables import TABLES
from pipelines.warehouse import PROJECT_ROOT, Warehouse, environment

CLOCK = CLOCKS[1]
ERASED, ERASED_LATER = "crowd-12", "crowd-13"
"""Who is erased before the first build, and after the second one."""
REPORTS = (CLOCK.report_date - dt.timedelta(days=1), CLOCK.report_date)
"""The report dates of the two builds: the day with 23 hours, and the one after it."""

_TYPES = {
    "VARCHAR": "STRING",
    "BIGINT": "INT64",
    "BOOLEAN": "BOOL",
    "DOUBLE": "FLOAT64",
    "DATE": "DATE",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "DECIMAL(38,9)": "NUMERIC",
}
"""What dlt makes on BigQuery of the columns that it makes on DuckDB."""


@dataclass
class Scene:
    """A warehouse on DuckDB in a folder of its own, which is loaded step by step."""

    folder: Path

    @property
    def warehouse(self) -> Warehouse:
        seeds = self.seeds.relative_to(PROJECT_ROOT)
        return replace(Company(self.folder, CLOCK.timezone).warehouse, seeds_path=seeds)

    @property
    def seeds(self) -> Path:
        """Folder of the seeds, which must lie in the project."""
        return PROJECT_ROOT / "target" / f"seeds of {self.folder.parent.name} {self.folder.name}"

    def load(self, step: int) -> None:
        """Load what has come by the first (0) or the second (1) build."""
        self._rate(step)
        company = Company(self.folder, CLOCK.timezone)
        # Of years ago there is nothing: the reference implementation would have each of their days to report.
        lines = [
            line
            for line in large_history(CLOCK, 3, events=80).lines
            if not re.search(rb"20(?!25)\d\d-", line)
        ]
        half = len(lines) * 2 // 3
        part = lines[:half] if step == 0 else lines[half // 2 :]
        company.receive({f"{step}/{name}": content for name, content in laid_out(tuple(part), step).items()})
        company.receive({f"{step}/crowd.jsonl": _crowd(step)})
        with environment(KPI_USER_KEY=USER_KEY, KPI_RECORD_KEY=RECORD_KEY):
            ensure_tables(self.warehouse)
            if step == 0:
                assert forget(self.warehouse, ERASED, lambda line: None).lines
            self._push(step)
        with duckdb.connect(str(self.warehouse.duckdb_path)) as connection:
            connection.execute("set TimeZone = 'UTC'")
            self._observe(connection, step)
            self._bill(connection, step)

    def raw(self) -> dict[Path3, Table]:
        """Every raw table, with the types that it has on BigQuery; paths without the project."""
        found: dict[Path3, Table] = {}
        with duckdb.connect(str(self.warehouse.duckdb_path), read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            names = connection.execute(
                "select schema_name, table_name from duckdb_tables()"
                " where starts_with(schema_name, 'raw_') and not ends_with(schema_name, '_staging') order by all"
            ).fetchall()
            for schema, name in names:
                described = connection.execute(f"describe {schema}.{name}").fetchall()
                columns = {column: _TYPES[type_] for column, type_, *_ in described}
                rows = connection.execute(f"from {schema}.{name}").fetchall()
                found[schema, name] = Table.of(columns, rows)
        return found

    def _rate(self, step: int) -> None:
        """Rates of exchange: one comes late, one is corrected, and before the first one there are none."""
        rates = [
            ("2025-02-03", "usd", "eur", "0.92345678"),
            ("2025-03-03", "usd", "eur", "0.9" if step == 0 else "0.90000001"),
            ("2025-02-01", "kwd", "eur", "3.00000001"),
            ("2025-03-30", "jpy", "eur", "0.00000001"),
            ("2025-02-01", "eur", "jpy", "161.5"),
            *([("2025-02-01", "jpy", "eur", "0.00617284")] if step else []),
        ]
        self.seeds.mkdir(parents=True, exist_ok=True)
        atexit.register(shutil.rmtree, self.seeds, ignore_errors=True)
        for path in (PROJECT_ROOT / "seeds").glob("*.csv"):
            shutil.copy(path, self.seeds)
        lines = ["rate_date,currency,reporting_currency,rate", *(",".join(rate) for rate in rates)]
        (self.seeds / "fx_rates.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def _push(self, step: int) -> None:
        rows = [
            [
                *("support_tickets,17,2025-03-29", "support_tickets,3,2025-03-30T01:30:00Z"),
                *("no_such_metric,1,2025-03-29", "support_tickets,many,2025-03-29"),
            ],
            ["support_tickets,18,2025-03-29", "podcast_downloads,99999999999999999999.000000001,2025-03-30"],
        ]
        path = self.folder / f"pushed-{step}.csv"
        path.write_text("\n".join(("metric,value,timestamp", *rows[step])) + "\n")
        push_file(self.warehouse, path, lambda line: None)
        assert pushed.load(self.warehouse, lambda line: None).failures == []

    def _observe(self, connection: duckdb.DuckDBPyConnection, step: int) -> None:
        observed_at = dt.datetime(2025, 3, 29 + step, 22, 30, tzinfo=dt.UTC)
        rows = [
            ("podcast_episodes", "ok" if step == 0 else "broken", Decimal(24) if step == 0 else None),
            ("github_stars", "ok", Decimal("12345678901234567890123456789.123456789")),
        ]
        for metric, state, value in rows:
            connection.execute(
                "insert into raw_scraped.observations (metric_key, url_host, observed_at, state, reason, value, http_status,"
                " extractor_version, parsed_at, loaded_at, _dlt_load_id, _dlt_id)"
                " values (?, 'figures.example', ?, ?, ?, ?, 200, '1', ?, ?, ?, ?)",
                [
                    metric,
                    observed_at,
                    state,
                    None if value else "no such element",
                    value,
                    *([observed_at] * 2),
                    f"{step}",
                    f"{metric}-{step}",
                ],
            )

    def _bill(self, connection: duckdb.DuckDBPyConnection, step: int) -> None:
        first_look, now = (dt.datetime.combine(day, dt.time(1, 30), dt.UTC) for day in REPORTS)
        raw = Raw(self.folder, synced_at=(first_look, now)[step], timezone="")
        bill(raw, step, first_look)
        for table in TABLES:
            arrow = table.arrow(  # noqa: F841 - DuckDB finds it by its name
                dict.fromkeys(table.schema.names) | row for row in raw.rows.get(table.name, [])
            )
            connection.execute(f"delete from raw_stripe.{table.name}")
            connection.execute(
                f"insert into raw_stripe.{table.name} by name select *, '{step}' as _dlt_load_id from arrow"
            )


def _crowd(step: int) -> bytes:
    """Days on which more users test than the privacy threshold is: before the first day that is released, on days that are
    released by the first build, of which one gets more later, and on the last day of a month, by the second one."""
    lines = []
    for date in ("11-29", "12-03", "12-10", "12-24") if step == 0 else ("12-10", "12-31"):
        for user in range(14):
            for attempt in range(1 + user % 3):
                status = "success" if (user + attempt) % 3 else "error"
                lines.append(
                    f'{{"event_id": "crowd-{step}-{date}-{user}-{attempt}", "event_key": "test_completed",'
                    f' "user_id": "crowd-{user}", "occurred_at": "2024-{date}T1{attempt}:00:00+01:00",'
                    f' "metadata": {{"session_id": "{date}", "status": "{status}", "error_code": "camera_too_far"}}}}'
                )
            if date == "12-03":
                lines.append(
                    f'{{"event_id": "crowd-account-{user}", "event_key": "account_created", "user_id": "crowd-{user}",'
                    f' "occurred_at": "2024-{date}T08:00:00+01:00"}}'
                )
    return "\n".join(lines).encode()
