"""What begins with an empty project: the trial against a real one (smoke_bigquery), and what is pushed, in the warehouse that
Google's engine works for. dlt loads there as it does into BigQuery.
"""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import smoke_bigquery
from click.testing import CliRunner
from command_support import House
from serve_support import PUSH, serving

from bigquery import builds
from bigquery.client import everything_works_with
from bigquery.service import Service
from pipelines.build import BuildReport
from pipelines.cli import cli
from pipelines.warehouse import Warehouse, environment

VARIABLES = '{"report_periods": 5, "privacy_lateness_days": 400}'
"""As many periods as the trial has days, and none of them released: that is what takes time here."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A project without a dataset."""
    credentials = tmp_path / "credentials.json"
    content = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    credentials.write_text(json.dumps(content), encoding="utf-8")
    service = Service(builds.PROJECT)
    given = {"KPI_BIGQUERY_PROJECT": builds.PROJECT, "GOOGLE_APPLICATION_CREDENTIALS": str(credentials)}
    with environment(**given), everything_works_with(service):
        yield service


def tried(service: Service, monkeypatch: pytest.MonkeyPatch, build: Any) -> list[str]:
    """Go through the trial with commands of this process; gives which ones there were."""
    commands: list[str] = []

    def run(*arguments: str, may_fail: bool = False) -> None:
        commands.append(arguments[0])
        done = CliRunner().invoke(cli, list(arguments))
        assert may_fail or done.exit_code == 0, done.output

    monkeypatch.setattr("pipelines.build.run_dbt", build)
    monkeypatch.setattr(smoke_bigquery, "kpi", run)
    smoke_bigquery.main()
    assert service.datasets == set()
    assert service.stored == {}
    return commands


def test_the_trial_loads_looks_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In place of dbt, which is tried elsewhere and takes its time, two tables are made from what dlt loaded."""

    def build(warehouse: Warehouse, *_: Any) -> BuildReport:
        prefix = warehouse.schema_prefix
        tests = (
            f"select event_id, date(min(occurred_at)) as day from {prefix}raw_events.events group by event_id"
        )
        for name, query in {
            "intermediate.int_user_days": f"select count(*) as tests from ({tests})",
            "kpi_internal.daily_engagement": (
                f"select date '{warehouse.today()}' as report_date, day as period_start_date, count(*) as all_tests"
                f" from ({tests}) group by day"
            ),
        }.items():
            service.execute(f"create or replace table {prefix}{name} as ({query})")
        return BuildReport(built=2)

    monkeypatch.setattr("pipelines.run.ensure_tables", lambda warehouse: None)
    monkeypatch.setattr("pipelines.cli._show", lambda warehouse, report: None)
    monkeypatch.setattr(smoke_bigquery, "LOOKS", (["doctor"],))
    assert tried(service, monkeypatch, build) == ["run", "run", "doctor", "forget"]
    assert capsys.readouterr().out.endswith("All well.\n")


@pytest.mark.soak
def test_the_trial_goes_its_whole_way(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(
        warehouse: Warehouse, arguments: list[str], progress: Any, settings: Any, *_: Any
    ) -> BuildReport:
        results = builds.run(
            "bigquery",
            warehouse.dbt_environment() | settings,
            str(warehouse.state_folder / "dbt"),
            ["build", "--exclude-resource-type", "unit_test", "test"],
            dt.datetime.now(dt.UTC),
            reading=smoke_bigquery.PREFIX,
            variables=VARIABLES,
        )
        failures = [each.node.name for each in results if str(each.status) not in {"success", "pass"}]
        return BuildReport(built=len(results), failures=failures)

    assert tried(service, monkeypatch, build).count("run") == 2


def test_the_trial_cleans_up_after_a_failure(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str, may_fail: bool = False) -> None:
        service.execute(f"create schema {smoke_bigquery.PREFIX}raw_events")
        service.execute(f"create table {smoke_bigquery.PREFIX}raw_events.events (event_id string)")
        raise SystemExit("kpi run ended with 1.")

    service.execute("create schema raw_events")
    monkeypatch.setattr(smoke_bigquery, "kpi", run)
    with pytest.raises(SystemExit, match="ended with 1"):
        smoke_bigquery.main()
    assert service.datasets == {"raw_events"}


def test_what_is_pushed_over_http_is_loaded(service: Service, house: House) -> None:
    """The server writes to its inbox alone; the next load reads it."""
    value = {"metric": "support_tickets", "value": 17, "timestamp": "2026-03-02", "id": "one"}
    house.settings |= {"KPI_TARGET": "bigquery", "KPI_BIGQUERY_PROJECT": builds.PROJECT}
    with serving(house) as server:
        assert server.ask("POST", "/metric_data", value, token=PUSH)[0] == 202
    given = {"KPI_TARGET": "bigquery", "KPI_DUCKDB_PATH": str(house.file), "KPI_USER_KEY": "u" * 32}
    with environment(**given, KPI_RECORD_KEY="r" * 32):
        for _ in range(2):
            done = CliRunner().invoke(cli, ["ingest", "pushed"])
            assert done.exit_code == 0, done.output
    table = service.rows((builds.PROJECT, "raw_pushed", "metric_values"))
    places = [list(table.columns).index(name) for name in ("metric_key", "value")]
    assert [tuple(row[place] for place in places) for row in table.values()] == [
        ("support_tickets", Decimal(17))
    ]
