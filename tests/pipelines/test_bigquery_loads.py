"""What dlt sends to BigQuery for our raw tables: their layout, and merges that name the partitions they touch."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dlt.destinations.impl.bigquery.sql_client import BigQuerySqlClient
from google.api_core.exceptions import BadRequest, Forbidden
from google.auth.exceptions import RefreshError
from requests.exceptions import ConnectTimeout

from pipelines import bigquery
from pipelines.errors import KpiError, SettingError
from pipelines.sources import events, pushed, scraped, source_module, stripe
from pipelines.sources.load import query
from pipelines.sources.stripe.tables import BY_NAME
from pipelines.warehouse import Warehouse, environment

FIRST, LAST = (dt.datetime(2026, month, 3, 7, 30, tzinfo=dt.UTC) for month in (2, 5))
EMPTY: dict[str, Callable[[], Any]] = {
    "events": events.no_events,
    "pushed": lambda: pushed.loading.pushed({}),
    "scraped": lambda: scraped.loading.scraped([]),
    "stripe": lambda: stripe.store.empty_source(),
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Warehouse]:
    """A warehouse on BigQuery that nobody answers for."""
    credentials = tmp_path / "credentials.json"
    content = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    credentials.write_text(json.dumps(content), encoding="utf-8")
    settings = {
        "KPI_BIGQUERY_PROJECT": "company",
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials),
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9",
    }
    with environment(**settings):
        yield Warehouse("bigquery", tmp_path / "warehouse.duckdb", "", "UTC")


def statements(house: Warehouse, source: str) -> dict[str, str]:
    """The statement that makes each raw table of a source."""
    pipeline = house.pipeline(source)
    source_module(source)
    pipeline.extract(EMPTY[source]())
    pipeline.normalize()
    with pipeline.destination_client() as client:
        return {
            str(table["name"]): " ".join(
                "\n".join(
                    client._get_table_update_sql(table["name"], list(table["columns"].values()), False)  # type: ignore[attr-defined]
                ).split()
            )
            for table in client.schema.data_tables(include_incomplete=True)
        }


def test_events_lie_by_the_day_on_which_they_happened_and_go_after_400(house: Warehouse) -> None:
    made = statements(house, "events")
    assert made["events"].endswith(
        "PARTITION BY DATE(`occurred_at`) CLUSTER BY `_dlt_load_id`, `event_key` OPTIONS (partition_expiration_days=400)"
    )
    assert "PARTITION BY TIMESTAMP_TRUNC(`loaded_at`, MONTH)" in made["quarantine"]
    assert not [name for name, text in made.items() if name != "events" and "expiration" in text]


def test_the_retention_of_events_is_a_setting(house: Warehouse) -> None:
    with environment(KPI_RAW_RETENTION_DAYS="0"):
        assert "expiration" not in statements(house, "events")["events"]
    with environment(KPI_RAW_RETENTION_DAYS="90"):
        assert statements(house, "events")["events"].endswith("(partition_expiration_days=90)")
    with (
        environment(KPI_RAW_RETENTION_DAYS="a year"),
        pytest.raises(SettingError, match="KPI_RAW_RETENTION_DAYS is 'a year', which is no whole number"),
    ):
        bigquery.raw_retention_days()


@pytest.mark.parametrize("source", ["events", "pushed", "scraped", "stripe"])
def test_every_layout_is_of_a_table_and_its_columns(house: Warehouse, source: str) -> None:
    made = statements(house, source)
    for name, layout in bigquery.LAYOUTS[source].items():
        for column in (*layout.cluster, *([layout.partition] if layout.partition else [])):
            assert f"`{column}` " in made[name].split("PARTITION BY")[0], f"{name}.{column}"
        assert ("PARTITION BY" in made[name]) == (layout.partition is not None)
        assert "CLUSTER BY" in made[name]


@pytest.mark.parametrize("source", ["events", "pushed", "scraped", "stripe"])
def test_no_raw_column_is_of_a_type_that_does_not_load(house: Warehouse, source: str) -> None:
    """JSON does not load from Parquet; money is exact."""
    for name, text in statements(house, source).items():
        assert "JSON" not in text, name
        assert "FLOAT64" not in text, name


def test_nothing_is_merged_by_something_that_changes_for_a_key() -> None:
    """The window of a merge would miss the row that is to be replaced."""
    for name, layout in bigquery.LAYOUTS["stripe"].items():
        if layout.partition:
            assert layout.partition == "created_at"
            assert BY_NAME[name].owner is None
            assert any(column.name == "created_at" and column.required for column in BY_NAME[name].columns)


def merge_statements(
    house: Warehouse,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    table: str,
    window: tuple[dt.datetime | None, dt.datetime | None] = (FIRST, LAST),
) -> str:
    """What a merge into a raw table is; the staged rows are told to lie in the window."""
    asked: list[str] = []

    def answer(_client: Any, sql: str, *_: Any) -> list[Any]:
        asked.append(sql)
        return [window]

    monkeypatch.setattr(BigQuerySqlClient, "execute_sql", answer)
    pipeline = house.pipeline(source)
    pipeline.extract(EMPTY[source]())
    pipeline.normalize()
    with pipeline.destination_client() as opened:
        client: Any = opened
        [job] = client._create_merge_followup_jobs([client.prepare_load_table(table)])
    text = Path(job.new_file_path()).read_text(encoding="utf-8")
    assert all("_staging`" in sql for sql in asked), "only what has just come is read to find the window"
    return " ".join(text.split())


def test_a_merge_deletes_by_key_within_the_window_of_what_comes(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = merge_statements(house, monkeypatch, "stripe", "invoices")
    [deleted] = [part for part in text.split(";") if "DELETE" in part]
    assert deleted.strip() == (
        "DELETE FROM `company`.`raw_stripe`.`invoices` WHERE `created_at` BETWEEN TIMESTAMP '2026-02-03T07:30:00+00:00' "
        "AND TIMESTAMP '2026-05-03T07:30:00+00:00' AND EXISTS (SELECT 1 FROM `company`.`raw_stripe_staging`.`invoices` AS "
        "staged WHERE staged.`id` = `invoices`.`id`)"
    )


def test_a_merge_by_two_columns_names_both(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    text = merge_statements(house, monkeypatch, "scraped", "observations")
    assert "`observed_at` BETWEEN" in text
    for key in ("metric_key", "observed_at"):
        assert f"staged.`{key}` = `observations`.`{key}`" in text


def test_a_merge_of_nothing_deletes_nothing(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    text = merge_statements(house, monkeypatch, "stripe", "invoices", (None, None))
    assert "WHERE FALSE;" in text


def test_rows_are_still_replaced_by_their_owner(house: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    text = merge_statements(house, monkeypatch, "stripe", "invoice_lines")
    assert "d.`invoice_id` = s.`invoice_id`" in text


def test_the_project_and_its_place_are_asked_for(house: Warehouse) -> None:
    with (
        environment(KPI_BIGQUERY_PROJECT=""),
        pytest.raises(SettingError, match="KPI_BIGQUERY_PROJECT is not set"),
    ):
        house.pipeline("events")
    with (
        environment(KPI_BIGQUERY_STAGING="s3://bucket"),
        pytest.raises(SettingError, match="gs://bucket/folder"),
    ):
        house.pipeline("events")
    with (
        environment(KPI_BIGQUERY_KEYFILE="no-such-file.json"),
        pytest.raises(SettingError, match="no key of a service account"),
    ):
        house.pipeline("events")


def test_loads_pass_through_cloud_storage_where_a_bucket_is_set(house: Warehouse) -> None:
    with environment(KPI_BIGQUERY_STAGING="gs://bucket/folder"):
        pipeline = house.pipeline("events")
        assert pipeline.staging is not None
        assert pipeline.staging.config_params["bucket_url"] == "gs://bucket/folder"
    assert house.pipeline("pushed").staging is None


def test_another_service_account_is_taken_on(house: Warehouse) -> None:
    with environment(KPI_BIGQUERY_IMPERSONATE="loader@company.iam.gserviceaccount.com"):
        native = bigquery.destination().config_params["credentials"].to_native_credentials()
    assert native.service_account_email == "loader@company.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KPI_BIGQUERY_PROJECT", "My Project"),
        ("KPI_BIGQUERY_PROJECT", "123456789"),
        ("KPI_BIGQUERY_JOB_SECONDS", "15 minutes"),
        ("KPI_BIGQUERY_JOB_RETRIES", "-1"),
        ("KPI_BIGQUERY_MAXIMUM_BYTES_BILLED", "10GB"),
        ("KPI_MARTS_RETENTION_DAYS", "never"),
        ("KPI_THREADS", "many"),
        ("KPI_INTERNAL_READERS", "a@example.com"),
        ("KPI_PUBLISHED_READERS", "group:b@example.com,user:c@example.com d@example.com"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(house: Warehouse, name: str, value: str) -> None:
    """dbt would take a text for the number 0, and BigQuery refuse a grant at the end of a build."""
    with environment(**{name: value}):
        with pytest.raises(SettingError, match=f"{name} (is|names) '"):
            house.check_writable()
        with pytest.raises(SettingError, match=name):
            house.pipeline("events")


def test_without_credentials_people_are_told_where_to_get_some(house: Warehouse, tmp_path: Path) -> None:
    with (
        environment(GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "nowhere.json")),
        pytest.raises(SettingError, match="no application default credentials"),
    ):
        query(house, "select 1 as answer")


@pytest.mark.parametrize(
    ("refusal", "said"),
    [
        (Forbidden("canary", errors=[{"reason": "accessDenied", "message": "canary"}]), "403 accessDenied"),
        (BadRequest("canary", errors=[{"reason": "invalidQuery"}]), "400 invalidQuery"),
        (RefreshError("canary"), "RefreshError"),  # type: ignore[no-untyped-call]
        (ConnectTimeout("canary"), "ConnectTimeout"),
    ],
)
def test_what_bigquery_refuses_is_said_in_a_line_without_the_statement(
    house: Warehouse, monkeypatch: pytest.MonkeyPatch, refusal: Exception, said: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise refusal

    monkeypatch.setattr("google.cloud.bigquery.Client.query_and_wait", refuse)
    with pytest.raises(KpiError) as caught:
        query(house, "select 'canary' as answer")
    assert said in str(caught.value)
    assert "KPI_BIGQUERY_PROJECT ('company')" in str(caught.value)
    assert "canary" not in str(caught.value)
    with pytest.raises(KpiError, match=said), house.writer() as execute:
        execute("delete from raw_events.events where user_key = %s", "canary")
