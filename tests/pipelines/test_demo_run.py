"""`kpi demo` from end to end: run as a person runs it, in a folder of its own."""

import datetime as dt
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from metrics_support import differences, disturb, marts_of, metric_data_of
from published_support import (
    SESSION_RATES,
    Leaves,
    Publication,
    incoherences,
    redrawn_errors,
    unlike_the_marts,
    unlike_their_derivations,
)

from pipelines.demo import oddities, run, settings, users
from pipelines.demo.billing_script import lives
from pipelines.demo.calendar import Company, as_datetime
from pipelines.demo.camera import UNKNOWN_CODE
from pipelines.digest.delivery import Delivery
from pipelines.errors import KpiError
from pipelines.explain import explanation
from pipelines.privacy.audit import audit
from pipelines.privacy.publish import publish
from pipelines.status import built_lines, sources_table
from pipelines.warehouse import Warehouse, environment, secret, setting

# The company is loaded and built once, by one process.
pytestmark = pytest.mark.xdist_group("demo_run")

MINOR_UNITS = {"eur": Decimal("0.01"), "usd": Decimal("0.01"), "jpy": Decimal(1), "kwd": Decimal("0.001")}
Day = tuple[dt.date, str]


@dataclass
class Demo:
    """A demo that was run beside settings and a warehouse of the user's."""

    folder: Path
    users_own: dict[Path, bytes]
    settings: dict[str, str]
    output: str = ""

    def run(self) -> None:
        command = Path(sys.executable).parent / "kpi"
        done = subprocess.run(
            [command, "demo", "--dir", str(self.folder)],
            env=dict(os.environ) | self.settings,  # noqa: TID251 - a person's environment
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.output = done.stdout + done.stderr

    @property
    def house(self) -> Warehouse:
        return Warehouse("duckdb", self.folder / "warehouse.duckdb", "", "UTC")

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.house.reader() as connection:
            yield connection

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.reader() as connection:
            return connection.execute(query).fetchall()

    @property
    def company(self) -> Company:
        """The company of the day on which the demo ran."""
        return Company(self.rows("select max(report_date) from kpi_internal.daily_engagement")[0][0])

    def figures(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every mart, without the instant of the build."""
        marts = self.rows(
            "select table_name from information_schema.tables where table_schema = 'kpi_internal'"
            " and table_name not in ('metric_versions', 'metric_restatements') order by 1"
        )
        shown = "select columns(lambda c: c not in ('created_at', 'computed_at')) from kpi_internal"
        with self.reader() as connection:
            return {
                mart: sorted(connection.execute(f"{shown}.{mart}").fetchall(), key=repr) for (mart,) in marts
            }


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    own = folder / "own"
    (own / "events").mkdir(parents=True)
    files = {
        own / "own.duckdb": b"",
        own / "events" / "events.jsonl": b'{"event_id": 1, "event_key": "test_completed"}\n',
        own / "scraped.toml": b"[[target]]\n",
    }
    duckdb.connect(str(own / "own.duckdb")).close()
    for path, content in files.items():
        if content:
            path.write_bytes(content)
    demo = Demo(
        folder=folder / "made" / "up",
        users_own={path: path.read_bytes() for path in files},
        settings={
            "KPI_DUCKDB_PATH": str(own / "own.duckdb"),
            "KPI_REPORTING_TIMEZONE": "Pacific/Auckland",
            "KPI_SCHEMA_PREFIX": "own_",
            "KPI_USER_KEY": "user's own key " * 3,
            "KPI_RECORD_KEY": "user's own other key " * 3,
            "SOURCES__EVENTS__PATH": str(own / "events"),
            "SOURCES__EVENTS__PRESET": "directus",
            "SOURCES__STRIPE__API_KEY": "sk_live_users_own",
            "SOURCES__STRIPE__BASE_URL": "http://127.0.0.1:9",
            "SOURCES__SCRAPED__TARGETS": str(own / "scraped.toml"),
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        },
    )
    demo.run()
    return demo


@pytest.fixture(scope="module")
def publication(demo: Demo, tmp_path_factory: pytest.TempPathFactory) -> Publication:
    return Publication.of(demo.house, tmp_path_factory.mktemp("publication"))


def test_it_shows_its_steps_and_todays_figures(demo: Demo) -> None:
    for part in (
        "120 days of events",
        "Loading events",
        "Loading stripe",
        "Loading scraped",
        "Key figures of",
    ):
        assert part in demo.output
    assert "FAILED" not in demo.output


def test_every_line_meets_the_fate_that_was_planned_for_it(demo: Demo) -> None:
    company = demo.company
    planned = Counter(line.fate for source in (users, oddities) for line in source.deliveries(company))
    found = dict(demo.rows("select fate, sum(lines)::bigint from kpi_internal.event_fates group by fate"))
    assert found == dict(planned)


def test_the_figures_are_those_of_a_company_that_could_be(demo: Demo) -> None:
    [(active, tests, users_to_date, share)] = demo.rows(
        "select active_users, all_tests, total_users_to_date, active_percentage"
        " from kpi_internal.daily_engagement where period_label like 'Yesterday%'"
    )
    assert 200 <= active <= 600
    assert 1.2 < tests / active < 2.5
    assert users_to_date > 1_800
    assert 2 < share < 40
    [(first, second, third, success, gini)] = demo.rows(
        "select first_try_success_rate, second_try_success_rate, third_plus_try_success_rate,"
        " adjusted_success_rate, error_gini_coefficient"
        " from kpi_internal.weekly_advanced_metrics where period_label like 'Last week%'"
    )
    assert first > second > third > 0
    assert 75 < success < 97
    assert 0.3 < gini < 0.95
    [(conversion,)] = demo.rows(
        "select conversion_rate from kpi_internal.monthly_funnel where period_label like 'Last month%'"
    )
    assert 70 < conversion < 90


def test_the_error_that_nobody_planned_for_is_told_by_name(demo: Demo) -> None:
    found = {code for (code,) in demo.rows("select distinct error_code from kpi_internal.errors_by_type")}
    planned = {
        "no_period_history",
        "camera_too_far",
        "camera_too_close",
        "analysis_error",
        "test_lines_not_found",
        "test_not_found",
    }
    assert found == planned | {UNKNOWN_CODE}


def test_invoices_of_every_day_and_currency_are_those_of_the_script(demo: Demo) -> None:
    company = demo.company
    finalized: Counter[Day] = Counter()
    left: Counter[Day] = Counter()
    paid: Counter[Day] = Counter()
    invoiced_amounts: Counter[Day] = Counter()
    paid_amounts: Counter[Day] = Counter()
    for life in lives(company):
        for bill in life.bills:
            if bill.finalized >= company.now:
                continue
            day = as_datetime(bill.finalized).date(), life.currency
            finalized[day] += 1
            invoiced_amounts[day] += bill.total
            if bill.settled >= company.now:
                continue
            day = as_datetime(bill.settled).date(), life.currency
            if bill.outcome == "paid":
                paid[day] += 1
                paid_amounts[day] += bill.due
            else:
                left[day] += 1
                invoiced_amounts[day] -= bill.due
    stored = demo.rows(
        "select invoice_date, currency, invoices_finalized, invoices_left, invoices_paid,"
        " invoiced_amount, paid_amount from kpi_internal.daily_invoices"
    )
    expected = [
        (
            date,
            currency,
            finalized[date, currency],
            left[date, currency],
            paid[date, currency],
            invoiced_amounts[date, currency] * MINOR_UNITS[currency],
            paid_amounts[date, currency] * MINOR_UNITS[currency],
        )
        for date, currency, *_ in stored
    ]
    assert stored == expected
    assert sum(row[2] for row in stored) == finalized.total()
    assert sum(row[3] for row in stored) == left.total() > 0
    assert sum(row[4] for row in stored) == paid.total()


def test_public_figures_are_read_from_its_web_site(demo: Demo) -> None:
    observed = demo.rows("select metric_key, state, value::bigint from raw_scraped.observations order by 1")
    assert observed == [
        ("github_stars", "ok", 412),
        ("newsletter_subscribers", "ok", 1_250),
        ("podcast_episodes", "ok", 24),
    ]


def test_no_made_up_mail_address_name_or_raw_id_is_stored(demo: Demo) -> None:
    with demo.reader() as connection:
        columns = connection.execute(
            "select table_schema, table_name, column_name from information_schema.columns"
            " where data_type = 'VARCHAR' and table_schema like 'raw_%' and table_name not like '_dlt%'"
        ).fetchall()
        for schema, table, column in columns:
            found = connection.execute(
                f'select count(*) from {schema}.{table} where "{column}" similar to ?',
                [r".*(@example\.com|Customer \d+).*"],
            ).fetchall()
            assert found == [(0,)], (schema, table, column)


def test_a_second_run_gives_the_same_figures_and_loads_no_event_again(demo: Demo) -> None:
    before = demo.figures()
    day = demo.company.today
    demo.run()
    if demo.company.today != day:
        pytest.skip("midnight has passed between the two runs")
    assert demo.figures() == before


def test_the_users_own_data_and_settings_are_left_alone(demo: Demo) -> None:
    assert {path: path.read_bytes() for path in demo.users_own} == demo.users_own
    assert {path.name for path in demo.folder.iterdir() if not path.name.startswith(".")} == {
        "demo-files",
        "warehouse.duckdb",
        "warehouse.keys.toml",
    }


def test_settings_of_the_user_are_not_seen_by_the_demo() -> None:
    with environment(SOURCES__STRIPE__API_KEY="own", KPI_USER_KEY="own"):
        with settings.only({"stripe": {"base_url": "http://127.0.0.1:9"}}):
            assert setting("sources.stripe.base_url") == "http://127.0.0.1:9"
            assert secret("sources.stripe.api_key") is None
            assert secret("kpi_user_key") is None
            assert setting("runtime.log_level") is not None
        assert secret("sources.stripe.api_key") == "own"


def test_a_warehouse_that_is_not_a_demos_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    path.write_bytes(b"somebody's")
    house = Warehouse("duckdb", path, "", "UTC")
    with pytest.raises(KpiError, match="not made by the demo"):
        run.load_company(house, tmp_path, lambda line: None, dt.date(2026, 11, 21))
    assert [entry.name for entry in tmp_path.iterdir()] == ["warehouse.duckdb"]
    assert path.read_bytes() == b"somebody's"


def test_a_folder_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    house = Warehouse("duckdb", tmp_path / "taken" / "warehouse.duckdb", "", "UTC")
    with pytest.raises(KpiError, match="cannot be written") as caught:
        run.load_company(house, tmp_path / "taken", lambda line: None, dt.date(2026, 11, 21))
    assert "--dir" in caught.value.remedy


def test_metric_data_says_what_the_marts_say_in_the_state_that_the_reference_gives(demo: Demo) -> None:
    """Figures of events in the periods that the marts show, all else in every period since the first event."""
    with demo.reader() as connection:
        found = metric_data_of(connection, "from kpi_internal.metric_data")
        expected = marts_of(connection).metric_data()
    assert list(differences(found, expected)) == []
    assert len(found) > 10_000
    in_the_catalogue = {metric for (metric,) in demo.rows("select metric_key from seeds.metrics")}
    assert {metric for metric, *_ in found} == in_the_catalogue


def test_metric_data_tells_apart_why_a_figure_is_not_there(demo: Demo, tmp_path: Path) -> None:
    """In a copy where a source has stopped, one is refused, pages have failed and values were pushed."""
    manifest = json.loads((demo.house.state_folder / "dbt" / "manifest.json").read_text(encoding="utf-8"))
    copy = tmp_path / demo.house.duckdb_path.name
    shutil.copy(demo.house.duckdb_path, copy)
    with duckdb.connect(str(copy)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        disturb(connection)
        found = metric_data_of(connection, manifest["nodes"]["model.kpi.metric_data"]["compiled_code"])
        expected = marts_of(connection).metric_data()
    assert list(differences(found, expected)) == []
    states = {"final", "provisional", "missing", "broken", "undefined"}
    assert {cell.state for cell in found.values()} == states
    assert ("not_in_the_catalogue", "day") in {key[:2] for key in found}


def test_the_late_day_restates_what_had_been_final(demo: Demo) -> None:
    company = demo.company
    late = company.date(company.last_day - run.LATE_DAY_AGE)
    [(before, after, state)] = demo.rows(
        "select value_before, value_after, state_before from kpi_internal.metric_restatements"
        f" where metric_key = 'all_tests' and grain = 'day' and period_start_date = '{late}'"
    )
    [(tests,)] = demo.rows(
        "select value from kpi_internal.metric_data"
        f" where metric_key = 'all_tests' and grain = 'day' and period_start_date = '{late}'"
    )
    assert before < after == tests
    assert state == "final"


def test_a_figure_of_the_late_day_is_explained_with_its_loads_and_restatement(demo: Demo) -> None:
    company = demo.company
    house = demo.house
    text = "\n".join(
        explanation(house, "conversion_rate", company.date(company.last_day - run.LATE_DAY_AGE), "week")
    )
    assert "formula: 100 x accounts_with_tests / accounts_created." in text
    assert "numerator " in text
    assert "loads: 2 of events" in text
    assert " became " in text
    assert "published: " in text
    assert "published: not released yet" in list(explanation(house, "active_users", None, "day"))
    with pytest.raises(KpiError, match="not in the catalogue"):
        list(explanation(house, "nonsense", None, "day"))


def test_its_digest_has_a_final_value_of_each_metric_for_people_inside_and_outside(demo: Demo) -> None:
    said = {}
    for is_external in ("false", "true"):
        with environment(DESTINATIONS__FILES__EXTERNAL=is_external):
            outcome = Delivery(demo.house, demo.company.today, lambda line: None).deliver(("text",))
        assert outcome.errors == []
        [said[is_external]] = outcome.shown
        assert "No final value" not in said[is_external]
        assert "Active users" in said[is_external]
    inside = (
        "North Star: Unique serious active users",
        "Customer churn, EUR",
        "Monthly recurring revenue, JPY",
    )
    for title in inside:
        assert title in said["false"]
        assert title not in said["true"]


def test_status_shows_each_source_and_the_last_report(demo: Demo) -> None:
    house = demo.house
    table = sources_table(house, as_datetime(demo.company.now) + dt.timedelta(days=9))
    [names, _, freshness, *_] = [list(column.cells) for column in table.columns]
    assert names == ["events", "stripe", "scraped", "pushed"]
    assert [str(told).startswith("stale") for told in freshness] == [True, True, True, False]
    lines = "\n".join(built_lines(house))
    assert f"last report: {demo.company.date(demo.company.last_day)}" in lines
    assert "restatements: " in lines


def test_published_active_users_are_near_the_exact_ones(demo: Demo, publication: Publication) -> None:
    """The demo draws keys of its own, so the share of its days is held loosely, and firmly over thirty other keys."""
    exact = dict(
        demo.rows(
            "select period_start_date, value from kpi_internal.metric_data"
            " where metric_key = 'active_users' and grain = 'day'"
        )
    )
    errors = [
        abs(row["active_users"] - exact[day])
        for day, row in publication.figures()["day"].items()
        if day in exact
    ]
    assert len(errors) >= 110
    assert statistics.median(errors) <= 5
    assert share_within(12, errors) >= 0.9
    leaves: Leaves = defaultdict(list)
    for day, units, contributors_key in demo.rows(
        "select period_start_date, units, contributors_key from intermediate.int_leaves"
        " where family = 'engagement_users' and grain = 'day' and cell != 'base' order by 1, cell"
    ):
        leaves[day].append((units, contributors_key))
    assert all(sum(units for units, _ in leaves[day]) == users for day, users in exact.items())
    redrawn = [abs(error) for error in redrawn_errors(leaves, 30)]
    assert statistics.median(redrawn) <= 5
    assert share_within(12, redrawn) >= 0.95


def share_within(most: int, errors: list[int]) -> float:
    return sum(error <= most for error in errors) / len(errors)


def test_published_rates_of_sessions_of_the_last_weeks_are_near_the_exact_ones(
    demo: Demo, publication: Publication
) -> None:
    exact = {
        (metric, week): value
        for metric, week, value in demo.rows(
            "select metric_key, period_start_date, value from kpi_internal.metric_data where grain = 'week'"
        )
    }
    rows = publication.built["weekly_advanced_metrics"]
    assert len(rows) == 12
    for row in rows:
        for rate in SESSION_RATES:
            assert abs(row[rate] - exact[rate, row["period_start_date"]]) <= 2, (rate, row)


def test_every_published_figure_is_what_its_declared_derivation_gives_from_the_ledger(
    publication: Publication,
) -> None:
    """The evaluator knows nothing of the SQL of the marts; it is held against the reports of every day since the first."""
    assert len(publication.built) == 12
    for mart, rows in publication.built.items():
        assert len(rows) == 12
        assert all(row in publication.reports[mart] for row in rows), mart
    assert sum(len(rows) for rows in publication.reports.values()) > 40_000
    assert list(unlike_their_derivations(publication, publication.built)) == []
    assert list(unlike_their_derivations(publication, publication.reports)) == []


def test_the_long_published_table_says_what_the_published_marts_say_and_nothing_internal(
    demo: Demo, publication: Publication
) -> None:
    assert list(unlike_the_marts(publication)) == []
    of_the_catalogue = {
        metric for (metric,) in demo.rows("select metric_key from seeds.metrics where audience = 'published'")
    }
    assert {row["metric_key"] for row in publication.long_table} == of_the_catalogue
    assert not [row for row in publication.long_table if row["state"] == "provisional"]
    columns = (
        "select column_name, data_type from information_schema.columns"
        " where table_name = 'metric_data' and table_schema = '{}' order by ordinal_position"
    )
    assert demo.rows(columns.format("kpi_metrics")) == demo.rows(columns.format("kpi_internal"))


def test_published_figures_never_contradict_each_other(publication: Publication) -> None:
    figures = publication.figures()
    assert {grain: len(rows) >= 13 for grain, rows in figures.items()} == dict.fromkeys(figures, True)
    assert len(figures["day"]) > 380
    assert list(incoherences(figures)) == []


def test_figures_that_no_company_could_have_are_published_without_contradictions(
    demo: Demo, tmp_path: Path
) -> None:
    """The company's figures seldom need to be made coherent; these do."""
    publication = Publication.of(demo.house, tmp_path, with_wild_ledger=True)
    assert list(incoherences(publication.figures())) == []
    assert list(unlike_their_derivations(publication, publication.reports)) == []
    assert list(unlike_the_marts(publication)) == []
    assert {"final", "withheld", "undefined"} <= {row["state"] for row in publication.long_table}


def test_an_export_of_the_company_withstands_the_attacker_and_has_the_same_bytes_twice(
    demo: Demo, tmp_path: Path
) -> None:
    exports = [publish(demo.house, tmp_path / name, lambda line: None) for name in ("one", "other")]
    for export in exports:
        assert export.is_new
        assert export.audit is not None
        assert export.audit.is_safe
        assert export.audit.numbers > 1_000
    one, other = ({path.name: path.read_bytes() for path in export.folder.iterdir()} for export in exports)
    assert one == other
    (exports[1].folder / "daily_errors.csv").write_bytes(one["daily_errors.csv"].replace(b"5", b"6", 1))
    assert not audit([exports[1].folder], lambda line: None).is_safe
