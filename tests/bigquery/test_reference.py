"""dbt-bigquery builds everything in a warehouse that Google's own engine works for, and the rows are DuckDB's; every command
that looks at a warehouse says the same of both.
"""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bigquery import builds, values
from bigquery.commands import LOOKS, exports, kpi
from bigquery.parity import Parity, kinds
from bigquery.scene import ERASED_LATER, REPORTS
from pipelines.warehouse import PROJECT_ROOT

BUILDS = ("first", "incremental", "after an erasure")
LEDGER = {"release_ledger", "release_parameters"}

LEAVES = {
    *("int_account_leaves", "int_engagement_user_leaves", "int_error_bucket_leaves", "int_error_leaves"),
    *("int_leaves", "int_session_leaves", "int_test_leaves"),
}
WITHOUT_ROWS: dict[str, str] = {}
"""Tables that hold nothing after any build, each with its reason."""


def nodes(kind: str) -> dict[str, Any]:
    """What dbt's reading of the project for BigQuery has of a kind, by unique id."""
    manifest = builds.manifest("bigquery")
    return {name: node for name, node in manifest.nodes.items() if node.resource_type == kind}


@pytest.mark.parametrize("step", range(len(BUILDS)), ids=BUILDS)
def test_every_statement_of_every_build_is_valid(parity: Parity, step: int) -> None:
    refused = [(each.refusal, each.text) for each in parity.steps[step].sent if each.refusal]
    assert refused == []
    assert {status for _, status, _ in parity.steps[step].results} == {"success"}
    if step < len(REPORTS):
        assert {name for name, _, _ in parity.steps[step].results} == set(nodes("model"))


def test_every_data_test_is_valid(parity: Parity) -> None:
    assert parity.tested
    assert [each for each in parity.tested.sent if each.refusal] == []
    failed = [each for each in parity.tested.results if each[1] not in {"pass", "warn"}]
    assert failed == []
    assert {name for name, _, _ in parity.tested.results} >= set(nodes("test"))


def test_every_unit_test_of_the_models_holds(parity: Parity) -> None:
    assert parity.unit_tested
    failed = [each for each in parity.unit_tested.results if each[1] != "pass"]
    assert failed == []
    assert {name for name, _, _ in parity.unit_tested.results} == set(builds.manifest("bigquery").unit_tests)


def test_the_second_build_is_incremental(parity: Parity) -> None:
    incremental = [node for node in nodes("model").values() if node.config.materialized == "incremental"]
    first, second = (kinds(step.sent) for step in parity.steps[:2])
    assert first["merge_statement"] == 0
    assert second["merge_statement"] == len(incremental)


@pytest.mark.parametrize("step", range(len(BUILDS)), ids=BUILDS)
def test_every_row_is_that_of_duckdb(parity: Parity, step: int) -> None:
    different = [line for line in parity.steps[step].differences if not on_purpose(line, step)]
    assert different == []


def on_purpose(line: str, step: int) -> bool:
    """Whether a table is laid out otherwise on BigQuery, so that a build reads fewer partitions of it."""
    table = line.split(":")[0]
    # A day without exceptions has a row there, too.
    days_with_a_row = table.startswith("intermediate.int_event_exceptions")
    # Leaves of periods that are released are not measured again, and there not even shown.
    released = step > 0 and table.removeprefix("intermediate.") in LEAVES
    return days_with_a_row or released


def test_no_table_is_compared_empty(parity: Parity) -> None:
    filled = {name for step in parity.steps for name, rows in step.rows.items() if rows}
    assert parity.steps[1].rows.keys() - filled == WITHOUT_ROWS.keys()


def test_the_types_are_those_of_the_contracts(parity: Parity) -> None:
    wrong = []
    for node in nodes("model").values():
        found = parity.steps[-1].types[f"{node.schema}.{node.alias}"]
        if node.config.contract.enforced:
            assert list(found) == list(node.columns)
        for column in node.columns.values():
            if column.data_type and found[column.name] != values.name_of(values.type_of(column.data_type)):
                wrong.append((node.name, column.name, column.data_type, found[column.name]))
    assert wrong == []


def test_the_seeds_are_whole(parity: Parity) -> None:
    for node in nodes("seed").values():
        with (PROJECT_ROOT / node.original_file_path).open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        assert parity.steps[-1].rows[f"{node.schema}.{node.alias}"] == len(lines) - 1


@pytest.mark.parametrize("arguments", LOOKS, ids=" ".join)
def test_what_only_looks_says_the_same_on_both(parity: Parity, arguments: tuple[str, ...]) -> None:
    on_duckdb, on_google = parity.said[arguments]
    assert on_google == on_duckdb
    assert on_google.code == (2 if "no_such_metric" in arguments else 0)


def test_whoever_is_forgotten_is_gone_from_every_table(parity: Parity) -> None:
    """What the build after it holds is compared row by row; here that it was somebody."""
    on_duckdb, on_google = parity.said["forget", ERASED_LATER, "--no-build"]
    assert on_google == on_duckdb
    assert on_google.shown.startswith("forgotten: ")
    assert not on_google.shown.startswith("forgotten: 0 ")
    before, after = (step.rows for step in parity.steps[1:])
    assert after["raw_events.events"] < before["raw_events.events"]
    assert after["staging.stg_events__erasures"] == before["staging.stg_events__erasures"] + 1
    again = kpi(parity.warehouses[1], parity.service, "forget", ERASED_LATER, "--no-build")
    assert again.shown.startswith("forgotten (erased before): 0 lines deleted")


@pytest.fixture(scope="module")
def exported(parity: Parity) -> tuple[Path, Path]:
    """The exports of the newest report, out of both warehouses."""
    for house in parity.warehouses:
        assert kpi(house, parity.service, "publish").code == 0
    on_duckdb, on_google = (exports(house) / str(REPORTS[1]) for house in parity.warehouses)
    return on_duckdb, on_google


def test_what_is_published_is_the_same_to_the_byte(exported: tuple[Path, Path], parity: Parity) -> None:
    on_duckdb, on_google = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in exported
    )
    assert on_google == on_duckdb
    again = kpi(parity.warehouses[1], parity.service, "publish")
    assert "was published before, and says the same" in again.shown
    audited = kpi(parity.warehouses[1], parity.service, "privacy", "audit", str(exported[1]))
    assert (audited.code, "nothing can be found out" in audited.shown) == (0, True)


def test_a_lost_ledger_is_missed_and_brought_back(exported: tuple[Path, Path], parity: Parity) -> None:
    house = parity.warehouses[1]
    stored = {path: replace(table) for path, table in parity.service.stored.items()}
    ledger = {path: stored.pop(path) for path in list(stored) if path[2] in LEDGER}
    service = replace(parity.service, stored=stored)
    missed = kpi(house, service, "build")
    assert missed.code == 1
    assert "Bring the ledger back first: kpi privacy restore" in missed.complained
    assert kpi(house, service, "privacy", "restore", str(exported[1])).code == 0
    for path, before in ledger.items():
        after = service.stored[path].table
        assert after.types == before.table.types
        assert sorted(map(repr, after.values())) == sorted(map(repr, before.table.values()))
    again = kpi(house, service, "privacy", "restore", str(exported[1]))
    assert again.shown.count("nothing was missing") == len(LEDGER)


def test_the_doctor_looks_at_the_service(exported: tuple[Path, Path], parity: Parity) -> None:
    said = kpi(parity.warehouses[1], parity.service, "doctor")
    assert said.code == 1
    wrong = [line for line in said.shown.splitlines() if line.startswith("WRONG")]
    assert wrong == [
        "WRONG grants: No readers are named: who may read which mart is left to the datasets' own rights."
    ]
    readers = {
        "KPI_PUBLISHED_READERS": "group:partners@example.com",
        "KPI_INTERNAL_READERS": "group:company@example.com",
    }
    said = kpi(parity.warehouses[1], parity.service, "doctor", **readers)
    assert said.code == 0, said
    for part in (
        "bigquery answers",
        "each one named in an allowlist",
        "the ledger holds what 1 exports show",
    ):
        assert part in said.shown


def test_keys_are_not_changed_here(parity: Parity) -> None:
    refused = kpi(parity.warehouses[1], parity.service, "privacy", "rotate")
    assert (refused.code, "Put another KPI_RECORD_KEY into your secret store" in refused.complained) == (
        2,
        True,
    )
