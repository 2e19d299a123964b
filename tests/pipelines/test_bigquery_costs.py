"""What a daily build on BigQuery reads, model by model, from the statements that dbt makes: the days that changed, and no history.

dbt compiles every model, and the data tests on it, as for a build on the day after the last one. A client in place of Google's answers what the models
ask for first (the days that changed, the new load), and keeps what they asked.
"""

import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from bigquery_reads import EVERYTHING, NOTHING, Bound, Reader
from command_support import clean_environment
from dbt.cli.main import dbtRunner
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.cloud.bigquery.dataset import DatasetListItem
from google.cloud.bigquery.table import TableListItem

from pipelines.bigquery import LAYOUTS, Layout
from pipelines.warehouse import PROJECT_ROOT, environment

pytestmark = pytest.mark.xdist_group("manifest")

DAY = dt.date(2026, 3, 10)
CHANGED = [DAY - dt.timedelta(days=1), DAY]
"""What a daily load touches: the day itself, and the one before it."""
RELEASED = DAY - dt.timedelta(days=3)
NO_COLUMN = "?"
"""The partition column of a table without partitions."""
BATCH = 1_773_000_000_000_000

HISTORY = {
    "raw_events.events",
    "intermediate.int_event_arrivals",
    "intermediate.int_user_days",
    "intermediate.int_error_days",
    "intermediate.int_sessions",
}
"""Tables that grow with the users and their days."""

READ_WHOLE = {
    (
        "int_event_arrivals",
        "raw_events.events",
    ): "which days a new load holds: raw events are clustered by the load",
    (
        "int_event_arrivals",
        "intermediate.int_event_arrivals",
    ): "whether an id came before: 16 bytes a line, since a copy may come any time",
    ("int_load_days", "intermediate.int_event_arrivals"): "the newest batch: arrivals are clustered by it",
    (
        "int_sessions",
        "intermediate.int_sessions",
    ): "whether a session goes on: 32 bytes a session, since it may any time",
    ("int_session_days", "intermediate.int_sessions"): "sessions by day: 24 bytes a session",
}
"""The readings that no partition bounds, each with its reason; the columns that they read are few and narrow."""

RAW_READ_WHOLE = {
    # What was loaded and with which keys: some rows a load. Lines that were left out are few.
    "raw_events._dlt_loads": {"int_event_arrivals", "int_rejected_lines", "int_source_coverages"},
    "raw_events.erasures": {"int_event_arrivals"},
    "raw_events.files": {"int_event_arrivals"},
    "raw_events.key_fingerprints": {"release_ledger"},
    "raw_events.quarantine": {"int_rejected_lines"},
    # What is pushed and read from pages: some rows a day.
    "raw_pushed.metric_values": {"metric_data"},
    "raw_scraped.observations": {"scraped_figures"},
    # Money and MRR are computed over the whole past, and an account is small.
    "raw_stripe.balance_transactions": {"int_invoice_movements"},
    "raw_stripe.coupon_currency_options": {"int_discount_stretches"},
    "raw_stripe.coupon_products": {"int_mrr_pieces"},
    "raw_stripe.coupons": {"int_discount_stretches"},
    "raw_stripe.credit_notes": {"int_invoice_movements"},
    "raw_stripe.customers": {"int_discount_stretches"},
    "raw_stripe.events": {"int_invoice_movements"},
    "raw_stripe.invoice_lines": {"int_licensed_lines"},
    "raw_stripe.invoice_payments": {"int_invoice_movements"},
    "raw_stripe.invoices": {
        *("daily_invoices", "int_billing_syncs", "int_invoice_movements", "int_licensed_lines"),
        *("int_mrr_pieces", "int_subscription_conditions", "int_subscription_versions", "mrr_invoice_bridge"),
    },
    "raw_stripe.price_currency_options": {"int_price_amounts"},
    "raw_stripe.price_tiers": {"int_price_amounts"},
    "raw_stripe.prices": {"int_prices"},
    "raw_stripe.refunds": {"int_invoice_movements"},
    "raw_stripe.resources": {"daily_invoices", "int_billing_syncs", "int_source_coverages"},
    "raw_stripe.subscription_discounts": {"int_discount_stretches"},
    "raw_stripe.subscription_items": {"int_item_stretches", "int_prices"},
    "raw_stripe.subscription_version_discounts": {"int_discount_stretches"},
    "raw_stripe.subscription_version_items": {"int_item_stretches", "int_prices"},
    "raw_stripe.subscription_versions": {"int_billing_syncs", "int_subscription_versions"},
    "raw_stripe.subscriptions": {"int_billing_syncs", "int_subscription_versions", "mrr_at_risk"},
}
"""The models that read one of the other raw tables whole, by table."""
ONLY_TESTED = {
    *("raw_pushed.files", "raw_pushed.quarantine", "raw_stripe.credit_note_refunds", "raw_stripe.products"),
}
"""Raw tables that data tests read whole, column by column, and no model does."""


class Client:
    """What dbt-bigquery asks of google.cloud.bigquery.Client while it compiles."""

    asked: "list[str]"

    def __init__(self, tables: dict[tuple[str, str], dict[str, Any]]) -> None:
        self.tables = tables
        self.asked = []

    def query(self, query: str, **_: Any) -> "Job":
        self.asked.append(query)
        return Job(self._answer(" ".join(query.split())))

    def _answer(self, text: str) -> list[Any]:
        if "from `offline`.`staging`.`stg_events__files` as files" in text:
            return ["1773100000.1"]
        if "select coalesce(max(case when grain" in text:
            return [RELEASED]
        if re.search(r"max\(period_start_date\)", text):
            return [RELEASED - dt.timedelta(days=1)]
        if re.search(r"max\(report_date\)", text):
            return [DAY]
        if "versions.report_date" in text:
            return [DAY]
        if "max(settings)" in text:
            # Nothing tells of settings, so that none have changed.
            return [None]
        if re.search(r"max\((version|batch|basis)\)", text) and "group by" not in text:
            return [BATCH]
        if "count(*)" in text:
            return [0]
        if "event_key, '='" in text:
            return ["test_completed=test"]
        if re.search(r"(event_date|period_date)", text):
            return CHANGED
        return [1]

    def get_table(self, reference: Any) -> bigquery.Table:
        name = (reference.dataset_id, reference.table_id)
        if name[0] == "answers":
            answer = bigquery.Table("offline.answers.one")
            answer._properties |= {"numRows": "1", "numBytes": "0", "type": "TABLE"}
            return answer
        if name not in self.tables:
            raise NotFound(f"Not found: {name}")  # type: ignore[no-untyped-call]
        fields = [bigquery.SchemaField(column, "STRING") for column in self.tables[name]["columns"]]
        table = bigquery.Table(f"offline.{name[0]}.{name[1]}", schema=fields)
        table._properties["type"] = "TABLE"
        return table

    def list_tables(self, dataset: Any, **_: Any) -> Iterator[TableListItem]:
        for schema, name in self.tables:
            if schema == dataset.dataset_id:
                place = {"projectId": "offline", "datasetId": schema, "tableId": name}
                kind = self.tables[schema, name]["config"]["materialized"]
                known = {"tableReference": place, "type": "VIEW" if kind == "view" else "TABLE"}
                yield TableListItem(known)  # type: ignore[no-untyped-call]

    def list_routines(self, dataset: Any) -> list[Any]:
        return []

    def list_datasets(self, **_: Any) -> list[DatasetListItem]:
        return [
            DatasetListItem(  # type: ignore[no-untyped-call]
                {"datasetReference": {"projectId": "offline", "datasetId": name}}
            )
            for name in sorted({schema for schema, _ in self.tables})
        ]

    def get_dataset(self, reference: Any) -> bigquery.Dataset:
        return bigquery.Dataset(bigquery.DatasetReference("offline", reference.dataset_id))

    def close(self) -> None:
        """Nothing is held."""


class Job:
    """A job that is done, with one column."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values
        self.destination = bigquery.TableReference.from_string("offline.answers.one")
        self.job_id, self.location, self.project, self.state = "1", "EU", "offline", "DONE"
        self.error_result = self.errors = None
        self.statement_type = "SELECT"
        self.total_bytes_processed = self.total_bytes_billed = self.slot_millis = 0
        self.num_dml_affected_rows = 0

    def result(self, max_results: int | None = None, **_: Any) -> "Job":
        return self

    @property
    def schema(self) -> list[bigquery.SchemaField]:
        kinds: dict[type, str] = {int: "INT64", type(None): "INT64", str: "STRING", dt.date: "DATE"}
        return [bigquery.SchemaField("found", kinds[type(self.values[0])])]

    def __iter__(self) -> Iterator[bigquery.Row]:
        return iter(bigquery.Row((value,), {"found": 0}) for value in self.values)


@pytest.fixture(scope="module")
def statements(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a daily build asks and makes, by model; and the views, under `view <schema>.<name>`."""
    folder = str(tmp_path_factory.mktemp("compiled"))
    settings = clean_environment(Path(folder)) | {
        "KPI_BIGQUERY_PROJECT": "offline",
        "KPI_REPORT_DATE": str(DAY),
        "DBT_PROFILES_DIR": str(PROJECT_ROOT / "profiles"),
    }
    places = [
        "--project-dir",
        str(PROJECT_ROOT),
        "--target-path",
        folder,
        "--log-path",
        folder,
        "--target",
        "bigquery",
    ]
    with environment(**settings):
        manifest: Any = dbtRunner().invoke(["--quiet", "parse", "--no-partial-parse", *places]).result
        nodes = {
            (node.schema, node.alias): {
                "columns": list(node.columns),
                "config": {"materialized": node.config.materialized},
                "name": node.name,
            }
            for node in manifest.nodes.values()
            if node.resource_type in {"model", "seed"}
        }
        client = Client(nodes)
        with patch("dbt.adapters.bigquery.connections.create_bigquery_client", lambda credentials: client):
            result = dbtRunner(manifest=manifest).invoke(
                ["--quiet", "compile", "--select", "resource_type:model", "--threads", "1", *places]
            )
    assert result.success, result.exception
    found: dict[str, list[str]] = defaultdict(list)
    for query in client.asked:
        named = re.search(r'"node_id": "model\.kpi\.(\w+)"', query)
        if named:
            found[named[1]].append(re.sub(r"^/\*.*?\*/", "", query.strip(), flags=re.DOTALL))
    for each in json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))["nodes"].values():
        if each["resource_type"] == "test" and each.get("compiled_code"):
            found[each["name"]].append(each["compiled_code"])
        if each["resource_type"] == "model":
            kind = each["config"]["materialized"]
            key = f"view {each['schema']}.{each['alias']}" if kind == "view" else each["name"]
            found[key].append(each["compiled_code"])
    return found


@pytest.fixture(scope="module")
def readings(statements: dict[str, list[str]]) -> dict[tuple[str, str], set[Bound]]:
    """What each model reads of each table of history."""
    views = {
        name.removeprefix("view "): texts[-1]
        for name, texts in statements.items()
        if name.startswith("view ")
    }
    partitions = dict.fromkeys(HISTORY, "event_date") | {
        "raw_events.events": "occurred_at",
        "intermediate.int_sessions": "last_date",
    }
    partitions |= {
        name: LAYOUTS[name.split("_")[1].split(".")[0]].get(name.split(".")[1], Layout()).partition
        or NO_COLUMN
        for texts in statements.values()
        for text in texts
        for name in map(".".join, re.findall(r"`(raw_\w+)`\.`(\w+)`", text))
        if name not in partitions
    }
    reader = Reader(views, partitions)
    found: dict[tuple[str, str], set[Bound]] = defaultdict(set)
    for name, texts in statements.items():
        for text in texts if not name.startswith("view ") else []:
            for reading in reader.readings(text):
                found[name, reading.table].add(reading.bound)
    return found


def test_nothing_reads_history_whole_but_what_is_named(readings: dict[tuple[str, str], set[Bound]]) -> None:
    whole = {key for key, bounds in readings.items() if any(first == "" for first, _ in bounds)}
    assert {key for key in whole if key[1] in HISTORY} == set(READ_WHOLE)


def read_whole(readings: dict[tuple[str, str], set[Bound]], *, by_models: bool) -> dict[str, set[str]]:
    """The raw tables but for events that no partition bounds, each with the models, or else the data tests, that read it."""
    models = {path.stem for path in (PROJECT_ROOT / "models").rglob("*.sql")}
    found: dict[str, set[str]] = defaultdict(set)
    for (name, table), bounds in readings.items():
        if table not in HISTORY and any(first == "" for first, _ in bounds) and (name in models) == by_models:
            found[table].add(name)
    return found


def test_models_read_no_other_raw_table_whole_but_what_is_named(
    readings: dict[tuple[str, str], set[Bound]],
) -> None:
    assert read_whole(readings, by_models=True) == RAW_READ_WHOLE


def test_data_tests_read_no_other_raw_table_whole_but_these_and_what_is_named(
    readings: dict[tuple[str, str], set[Bound]],
) -> None:
    assert read_whole(readings, by_models=False).keys() - RAW_READ_WHOLE.keys() == ONLY_TESTED


def test_each_model_reads_the_partitions_of_the_days_that_changed(
    readings: dict[tuple[str, str], set[Bound]],
) -> None:
    """Two days before and after at most, where the reporting zone decides on which day an event lies."""
    earliest, latest = str(CHANGED[0] - dt.timedelta(days=2)), str(DAY + dt.timedelta(days=2))
    month = DAY.replace(day=1) - dt.timedelta(days=31)
    for (name, table), bounds in readings.items():
        for first, last in bounds if table in HISTORY else ():
            if first == "" or (first, last) == NOTHING:
                continue
            # The ledger measures periods that are not released yet: a month of days at most.
            if name == "release_ledger":
                assert first >= str(month), (name, table, first)
            else:
                assert first >= earliest, (name, table, first)
                assert last is None or last <= latest, (name, table, last)


def test_data_tests_read_what_the_last_run_wrote(readings: dict[tuple[str, str], set[Bound]]) -> None:
    tested = {table for name, table in readings if name.startswith(("unique_together", "assert_"))}
    assert tested & HISTORY == HISTORY - {"raw_events.events"}


def test_models_that_replace_days_read_their_own_partitions_alone(
    readings: dict[tuple[str, str], set[Bound]],
) -> None:
    changed: Bound = (str(CHANGED[0]), str(CHANGED[1]))
    for name in ("int_user_days", "int_error_days"):
        assert readings[name, f"intermediate.{name}"] == {changed}
        assert {bound for bound in readings[name, "raw_events.events"] if bound != NOTHING} == {
            (str(CHANGED[0] - dt.timedelta(days=2)), str(CHANGED[1] + dt.timedelta(days=2)))
        }


def test_a_merge_into_sessions_names_the_days_that_they_end_on(statements: dict[str, list[str]]) -> None:
    days = ", ".join(f"cast('{day}' as date)" for day in CHANGED)
    assert (
        f"/* window of the merge: DBT_INTERNAL_DEST.last_date in ({days}) or DBT_INTERNAL_DEST.last_date is null */"
        in statements["int_sessions"][-1]
    )


def test_the_reader_of_statements_is_not_fooled() -> None:
    """A condition counts where BigQuery leaves partitions out by it, and nowhere else."""
    reader = Reader({"v.days": "select event_date, user from t.days"}, {"t.days": "event_date"})

    def bound(sql: str) -> Bound:
        [reading] = reader.readings(sql)
        return reading.bound

    day = "cast('2026-03-01' as date)"
    one: Bound = ("2026-03-01", "2026-03-01")
    assert bound("select * from t.days") == EVERYTHING
    assert bound(f"select * from t.days where event_date = {day}") == one
    assert bound(f"with d as (select * from t.days) select * from d where event_date in ({day})") == one
    assert bound(f"select * from v.days where event_date >= {day}") == ("2026-03-01", None)
    assert bound("select * from t.days where event_date >= (select max(x) from u)") == EVERYTHING
    assert bound(f"select * from t.days where event_date = {day} or user = 1") == EVERYTHING
    assert (
        bound(f"select * from t.days as a join u on a.event_date = u.event_date where u.event_date = {day}")
        == EVERYTHING
    )
    assert bound(f"select * from t.days as a join u on a.k = u.k where a.event_date = {day}") == one
    assert (
        bound(
            f"select * from (select event_date, max(user) as m from t.days group by event_date) as g where m = 1 and event_date = {day}"
        )
        == one
    )
    assert (
        bound(
            f"select * from (select event_date, row_number() over (order by user) as n from t.days) as g where event_date = {day}"
        )
        == EVERYTHING
    )
    assert (
        bound(
            f"select * from (select max(event_date) as event_date from t.days) as g where event_date = {day}"
        )
        == EVERYTHING
    )
    assert bound("select * from t.days where false") == NOTHING


def test_every_table_of_history_is_partitioned(statements: dict[str, list[str]]) -> None:
    assert LAYOUTS["events"]["events"].partition == "occurred_at"
    assert {table.split(".")[1] for table in HISTORY if table.startswith("intermediate")} <= statements.keys()
