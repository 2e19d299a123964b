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


@pytest.mark.parametrize(
    "selected",
    [
        ["+daily_engagement"],
        # All of it takes minutes.
        pytest.param(["*"], marks=pytest.mark.soak),
    ],
    ids=["one mart", "everything"],
)
def test_the_trial_goes_its_whole_way_and_leaves_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], selected: list[str]
) -> None:
    commands: list[tuple[str, ...]] = []

    def build(
        warehouse: Warehouse, arguments: list[str], progress: Any, settings: Any, *_: Any
    ) -> BuildReport:
        chosen = ["build", "--exclude-resource-type", "unit_test", "test", "--select", *selected]
        results = builds.run(
            "bigquery",
            warehouse.dbt_environment() | settings,
            str(warehouse.state_folder / "dbt"),
            chosen,
            dt.datetime.now(dt.UTC),
            reading=f"{smoke_bigquery.PREFIX} {selected}",
            variables=VARIABLES,
        )
        return BuildReport(built=len(results), failures=[str(each) for each in results if each.failures])

    def run(*arguments: str, may_fail: bool = False) -> None:
        commands.append(arguments)
        done = CliRunner().invoke(cli, list(arguments))
        assert may_fail or done.exit_code == 0, done.output

    monkeypatch.setattr("pipelines.build.run_dbt", build)
    monkeypatch.setattr(smoke_bigquery, "kpi", run)
    if selected != ["*"]:
        # Figures of all metrics are made of everything.
        monkeypatch.setattr(smoke_bigquery, "LOOKS", (["status"], ["doctor"]))
    smoke_bigquery.main()
    assert capsys.readouterr().out.endswith("All well.\n")
    assert [arguments[0] for arguments in commands if arguments[0] in {"run", "forget"}] == [
        "run",
        "run",
        "forget",
    ]
    assert service.datasets == set()
    assert service.stored == {}


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
