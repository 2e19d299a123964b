"""dbt-bigquery and dlt, as they are, speak BigQuery's wire to an emulator: rows are DuckDB's, and every statement is valid."""

import datetime as dt
import json
import re
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dlt
import pytest

from bigquery import emulator
from bigquery.emulator import PROJECT
from bigquery.engine import Table
from bigquery.sent import Checked
from bigquery.wire import READERS, Wire
from pipelines.sources import events
from pipelines.sources.load import query, run_pipeline
from pipelines.sources.scraped.loading import scraped
from pipelines.sources.scraped.observe import Observation
from pipelines.sources.stripe.store import stripe_source
from pipelines.sources.stripe.tables import BY_NAME
from pipelines.warehouse import Warehouse, environment

OF_A_LOAD = {"_dlt_load_id", "_dlt_id", "loaded_at", "received_at", "source_file", "modified_at"}
"""Columns that no two loads have in common."""

GRANT = re.compile(
    r"(?:/\*.*?\*/\s*)*grant `(?P<role>[\w/.]+)` on (?P<kind>table|view) `(?P<project>\w+)`\.`(?P<dataset>\w+)`\.`(?P<name>\w+)`"
    r"\s+to (?P<readers>.+)",
    re.DOTALL,
)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """An emulator in which everything was built twice."""
    folder = tmp_path_factory.mktemp("wire")
    with emulator.emulator(folder) as server:
        built = Wire(server, folder).go()
        yield built
        built.client.close()  # type: ignore[no-untyped-call]


def loaded_twice(
    wire: Wire, name: str, load: Any, tables: tuple[str, ...]
) -> dict[str, list[dict[str, Any]]]:
    """Load two steps on DuckDB and over the wire; what each table holds, which must be the same on both."""
    found: dict[str, list[dict[str, Any]]] = {}
    with wire.warehouses(name) as warehouses:
        for step in range(2):
            stored = []
            for warehouse in warehouses:
                load(warehouse, step)
                stored.append({table: content(warehouse, table) for table in tables})
            on_duckdb, found = stored
            assert found == on_duckdb, step
    return found


def content(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """The rows of a raw table, but for what differs between loads."""
    rows = query(warehouse, f"select * from {warehouse.schema_prefix}{table}")
    kept = ({key: plain(row[key]) for key in sorted(row.keys() - OF_A_LOAD)} for row in rows)
    return sorted(kept, key=repr)


def plain(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value


def load_events(warehouse: Warehouse, step: int) -> None:
    folder = warehouse.duckdb_path.parent / "events"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "event_id": f"event-{number}",
            "event_key": "test_completed",
            "user_id": f"user-{number % 3}",
            "occurred_at": f"2026-11-{number + 1:02d}T10:00:00.123456Z",
            "metadata": {"session_id": "é", "status": "success"},
        }
        for number in range(step * 3, step * 3 + 5)
    ]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / f"{step}.jsonl").write_text(text + "no event\n" * (1 - step), encoding="utf-8")
    with environment(SOURCES__EVENTS__PATH=str(folder)):
        assert events.load(warehouse, lambda line: None).failures == []
        events.ensure_tables(warehouse)


def load_observations(warehouse: Warehouse, step: int) -> None:
    read_at = dt.datetime(2026, 3, 29, 23, tzinfo=dt.UTC)
    values = ({1: "24", 2: "-0.000000001"}, {1: None, 3: "12345678901234567890123456789.123456789"})[step]
    observations = [
        Observation(
            metric_key="github_stars",
            url_host="figures.example",
            observed_at=dt.datetime(2026, 3, day, 22, 30, tzinfo=dt.UTC),
            state="ok" if value else "broken",
            reason=None if value else "no such element: é",
            value=Decimal(value) if value else None,
            http_status=200,
            page_hash=None,
            extractor_version="1",
            parsed_at=read_at,
            loaded_at=read_at,
        )
        for day, value in values.items()
    ]
    run_pipeline(warehouse, warehouse.pipeline("scraped"), scraped(observations))


def load_invoices(warehouse: Warehouse, step: int) -> None:
    def instant(day: int) -> dt.datetime:
        return dt.datetime(2026, 3, day, 7, 30, tzinfo=dt.UTC)

    common = {"livemode": True, "is_deleted": False, "requested_at": instant(20 + step)}
    invoices = [
        {
            "id": f"in_{number}",
            "status": ("open", "paid")[step],
            "currency": "kwd",
            "created_at": instant(number),
        }
        | {"total": 999_999_999_999 + step}
        | common
        for number in (1, 2 + step)
    ]
    # Of the first invoice one line stays, with another amount, and one goes.
    lines = [
        {"id": f"il_{number}", "invoice_id": "in_1", "amount": 100 * number + step, "currency": "kwd"}
        | common
        for number in (1, 2)[: 2 - step]
    ]
    given = {"invoices": invoices, "invoice_lines": lines}
    arrow = {
        name: BY_NAME[name].arrow(dict.fromkeys(BY_NAME[name].schema.names) | row for row in rows)
        for name, rows in given.items()
    }
    run_pipeline(warehouse, warehouse.pipeline("stripe"), stripe_source(arrow))


def load_figures(warehouse: Warehouse, step: int) -> None:
    rows = [
        {"figure": name, "measured_at": dt.datetime(2026, 11, 1 + step, tzinfo=dt.UTC), "value": step}
        for name in ("first", "second", "third")[step:]
    ]
    figures = dlt.resource(rows, name="figures", write_disposition="replace")
    run_pipeline(warehouse, warehouse.pipeline("figures"), figures)


def test_dbt_builds_every_model_twice(wire: Wire) -> None:
    models = {name: node for name, node in wire.nodes.items() if node.resource_type == "model"}
    staging = {name for name, node in models.items() if node.schema == "staging"}
    for results, expected in zip(wire.results, (models.keys(), models.keys() - staging), strict=True):
        assert [each for each in results if each[1] != "success"] == []
        assert {name for name, _, _ in results} == expected


def test_every_row_is_that_of_duckdb(wire: Wire) -> None:
    assert wire.compared == {f"{node.schema}.{node.alias}" for node in wire.nodes.values()}
    assert wire.different == []


def test_what_is_appended_stays(wire: Wire) -> None:
    tables = ("raw_events.events", "raw_events.quarantine", "raw_events.files", "raw_events.key_fingerprints")
    found = loaded_twice(wire, "appended", load_events, tables)
    assert [len(found[name]) for name in tables] == [10, 1, 2, 2]


def test_what_is_merged_replaces_the_row_with_its_key(wire: Wire) -> None:
    found = loaded_twice(wire, "merged", load_observations, ("raw_scraped.observations",))
    assert [row["state"] for row in found["raw_scraped.observations"]] == ["broken", "ok", "ok"]


def test_what_is_merged_by_its_owner_replaces_all_of_the_owner(wire: Wire) -> None:
    found = loaded_twice(wire, "owned", load_invoices, ("raw_stripe.invoices", "raw_stripe.invoice_lines"))
    assert {row["id"]: row["status"] for row in found["raw_stripe.invoices"]} == {
        "in_1": "paid",
        "in_2": "open",
        "in_3": "paid",
    }
    assert [row["amount"] for row in found["raw_stripe.invoice_lines"]] == [101]


def test_what_is_replaced_is_gone(wire: Wire) -> None:
    found = loaded_twice(wire, "replaced", load_figures, ("raw_figures.figures",))
    assert [row["figure"] for row in found["raw_figures.figures"]] == ["second", "third"]


def test_the_second_build_is_incremental(wire: Wire) -> None:
    incremental = [node for node in wire.nodes.values() if node.config.materialized == "incremental"]
    first, second = (sum("merge into" in text for text in sent) for sent in wire.sent)
    assert (first, second) == (0, len(incremental))


def test_readers_are_granted_the_tables_of_their_audience_and_nothing_else(wire: Wire) -> None:
    marts = {
        "kpi_metrics": READERS["KPI_PUBLISHED_READERS"].split(),
        "kpi_internal": READERS["KPI_INTERNAL_READERS"].split(),
    }
    expected = {
        (node.schema, node.alias): marts[node.schema] for node in wire.nodes.values() if node.schema in marts
    }
    for sent in wire.sent:
        said = [text for text in sent if re.search(r"(?i)\b(grant|revoke)\b\s+`", text)]
        found = [GRANT.fullmatch(text.strip().rstrip(";")) for text in said]
        granted = {
            (each["dataset"], each["name"]): re.findall(r'"([^"]+)"', each["readers"])
            for each in found
            if each
        }
        assert None not in found
        assert {each["role"] for each in found if each} == {"roles/bigquery.dataViewer"}
        assert granted == expected


def test_every_statement_that_was_sent_is_valid(wire: Wire) -> None:
    """dbt's and dlt's: those that the tests before this one sent too."""
    tables = {(PROJECT, *path): Table(table.columns) for path, table in wire.raw.items()}
    for node in wire.nodes.values():
        if node.resource_type == "seed":
            described = wire.client.get_table(f"{PROJECT}.{node.schema}.{node.alias}")
            columns = {column.name: column.field_type for column in described.schema}
            tables[PROJECT, node.schema, node.alias] = Table.of(columns)
    sent = [text for text in wire.emulator.statements() if text not in wire.read]
    checked = Checked(PROJECT, tables).take(sent)
    assert checked.refused == []
    # dlt looks for its tables before it makes them.
    assert {dataset.rsplit("raw_", 1)[1] for _, dataset, _ in checked.sought} == {
        *("events", "scraped", "stripe", "figures", "scraped_staging", "stripe_staging"),
    }
    assert {"merge_statement", "grant_statement", "create_view_statement"} <= set(checked.kinds)


def test_what_the_emulator_would_take_and_bigquery_refuses_is_found() -> None:
    sent = [
        "create table `p`.`d`.`orders` (order_id int64, ordered_at timestamp)",
        "select order_id from d.orders where ordered_at >= datetime '2026-11-22'",
        "select order_id from `p`.`d`.`orders` where order_id = ?",
        "declare days array<date>; set (days) = (select as struct array_agg(date(ordered_at)) from d.orders);"
        " delete from d.orders where date(ordered_at) in unnest(days)",
        "declare days array<date>; delete from d.orders where order_id in unnest(days)",
        "select 1 from d.nowhere",
    ]
    checked = Checked("p", {}).take(sent)
    assert [text for _, text in checked.refused] == [sent[1], sent[4], sent[5]]
    assert checked.sought == set()


def test_without_python_313_the_reason_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator, "python", lambda: None)
    with pytest.raises(pytest.skip.Exception, match=re.escape(emulator.REMEDY)):
        emulator.needed()


def test_what_a_killed_run_left_of_the_environment_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[Path] = []

    def make(base: str, folder: Path) -> None:
        made.append(folder)
        folder.mkdir()
        if len(made) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(emulator, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(emulator, "python", lambda: "python3.13")
    monkeypatch.setattr(emulator, "_make", make)
    with pytest.raises(KeyboardInterrupt):
        emulator.needed()
    assert [emulator.needed() for _ in range(2)] == [str(made[0] / "bin" / "python")] * 2
    assert len(made) == 2


def test_packages_that_cannot_be_installed_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def make(base: str, folder: Path) -> None:
        raise subprocess.CalledProcessError(1, "pip", stderr="Looking\nERROR: no such package\n")

    monkeypatch.setattr(emulator, "PROJECT_ROOT", tmp_path)
    monkeypatch.setattr(emulator, "python", lambda: "python3.13")
    monkeypatch.setattr(emulator, "_make", make)
    with pytest.raises(pytest.skip.Exception, match=r"cannot be installed \(ERROR: no such package\)"):
        emulator.needed()
