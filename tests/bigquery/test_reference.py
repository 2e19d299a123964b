"""dbt-bigquery builds everything twice in a warehouse that Google's own engine works for, and the rows are DuckDB's."""

import csv
from typing import Any

import pytest

from bigquery import builds, values
from bigquery.parity import Parity, kinds
from bigquery.scene import REPORTS
from pipelines.warehouse import PROJECT_ROOT

LEAVES = {
    *("int_account_leaves", "int_engagement_user_leaves", "int_error_bucket_leaves", "int_error_leaves"),
    *("int_leaves", "int_session_leaves", "int_test_leaves"),
}
WITHOUT_ROWS = {
    *("seeds.fx_rates", "kpi_internal.daily_mrr_converted", "kpi_internal.mrr_at_risk"),
    *("kpi_internal.mrr_policy_bridge", "staging.stg_events__erasures", "staging.stg_pushed__quarantine"),
    *(
        f"staging.stg_stripe__{name}"
        for name in (
            *("balance_transactions", "coupon_currency_options", "coupon_products", "coupons"),
            *("credit_note_refunds", "credit_notes", "customers", "events", "invoice_payments"),
            *("price_currency_options", "price_tiers", "products", "refunds", "subscription_discounts"),
            *("subscription_items",),
        )
    ),
}
"""Tables that the scene has nothing for."""


def nodes(kind: str) -> dict[str, Any]:
    """What dbt's reading of the project for BigQuery has of a kind, by unique id."""
    manifest = builds.manifest("bigquery")
    return {name: node for name, node in manifest.nodes.items() if node.resource_type == kind}


@pytest.mark.parametrize("step", range(len(REPORTS)))
def test_every_statement_of_both_builds_is_valid(parity: Parity, step: int) -> None:
    refused = [(each.refusal, each.text) for each in parity.steps[step].sent if each.refusal]
    assert refused == []
    assert {status for _, status, _ in parity.steps[step].results} == {"success"}
    assert {name for name, _, _ in parity.steps[step].results} == set(nodes("model"))


def test_every_data_test_is_valid(parity: Parity) -> None:
    assert parity.tested
    assert [each for each in parity.tested.sent if each.refusal] == []
    failed = [each for each in parity.tested.results if each[1] not in {"pass", "warn"}]
    assert failed == []
    assert {name for name, _, _ in parity.tested.results} >= set(nodes("test"))


def test_the_second_build_is_incremental(parity: Parity) -> None:
    incremental = [node for node in nodes("model").values() if node.config.materialized == "incremental"]
    first, second = (kinds(step.sent) for step in parity.steps)
    assert first["merge_statement"] == 0
    assert second["merge_statement"] == len(incremental)


@pytest.mark.parametrize("step", range(len(REPORTS)))
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


def test_of_these_tables_alone_nothing_but_the_statement_is_proved(parity: Parity) -> None:
    filled = {name for step in parity.steps for name, rows in step.rows.items() if rows}
    assert parity.steps[-1].rows.keys() - filled - WITHOUT_ROWS == set()


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
