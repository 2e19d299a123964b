"""Marts are an API: their columns, order and types are written here a second time, so that no change is silent."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.warehouse import PROJECT_ROOT

pytestmark = pytest.mark.xdist_group("manifest")

Manifest = dict[str, Any]
Nodes = dict[str, dict[str, Any]]

LEADING = {
    "report_date": "date",
    "period_label": "string",
    "period_start_date": "date",
    "period_end_date": "date",
}
ERROR_COLUMNS = [
    "no_period_history",
    "camera_too_far",
    "camera_too_close",
    "analysis_error",
    "test_lines_not_found",
    "test_not_found",
]
MARTS = {
    "engagement": {
        "all_tests": "int64",
        "successful_tests": "int64",
        "successful_test_users": "int64",
        "active_users": "int64",
        "total_users_to_date": "int64",
        "total_active_users_to_date": "int64",
        "active_percentage": "float64",
        "active_change": "float64",
        "avg_tests_per_active_user": "float64",
    },
    "advanced_metrics": {
        "total_sessions": "int64",
        "successful_sessions": "int64",
        "adjusted_success_rate": "float64",
        "first_try_successes": "int64",
        "first_try_success_rate": "float64",
        "second_try_successes": "int64",
        "second_try_success_rate": "float64",
        "third_plus_try_successes": "int64",
        "third_plus_try_success_rate": "float64",
        "error_gini_coefficient": "float64",
    },
    "errors": {**dict.fromkeys(ERROR_COLUMNS, "int64"), "total_errors": "int64"},
    "funnel": {"accounts_created": "int64", "accounts_with_tests": "int64", "conversion_rate": "float64"},
}
# Tells of months what days do not have.
OF_THEIR_OWN = {"monthly_mrr"}
MRR_MOVEMENTS = [
    f"{movement}_amount" for movement in ("new", "expansion", "contraction", "churned", "reactivated")
]
MONEY = {
    "daily_invoices": [
        *("invoice_date", "currency", "invoices_finalized", "invoices_left", "invoices_paid"),
        *("invoiced_amount", "paid_amount", "refunded_amount", "credited_amount"),
        *("credited_to_invoice_amount", "credited_to_balance_amount", "credited_out_of_band_amount"),
        *("net_amount", "refunds_state", "credits_state", "created_at"),
    ],
    "daily_mrr": [
        *("policy_key", "mrr_date", "currency", "mrr_amount", "arr_amount", "paying_customers"),
        *MRR_MOVEMENTS,
        *("reconstructed_amount", "provenance", "created_at"),
    ],
    "monthly_mrr": [
        *("policy_key", "month_start_date", "last_date", "currency"),
        *("opening_amount", "mrr_amount", "arr_amount"),
        *MRR_MOVEMENTS,
        *("opening_customers", "paying_customers", "won_customers", "churned_customers", "quick_ratio"),
        *("net_revenue_retention_percentage", "gross_revenue_retention_percentage", "logo_churn_percentage"),
        *("reconstructed_amount", "provenance", "created_at"),
    ],
    "daily_mrr_converted": [
        *("policy_key", "mrr_date", "reporting_currency", "mrr_amount", "arr_amount"),
        *MRR_MOVEMENTS,
        *("rate_effect_amount", "state", "created_at"),
    ],
    "mrr_by_subscription": [
        *("policy_key", "subscription_id", "subscription_item_id", "customer_key", "currency"),
        *("valid_from_at", "valid_to_at", "first_date", "end_date", "mrr_amount", "provenance", "created_at"),
    ],
    "mrr_at_risk": [
        *("subscription_id", "customer_key", "currency", "reason", "leaves_at", "leaves_date"),
        *("mrr_amount", "created_at"),
    ],
    "mrr_policy_bridge": [
        *("from_policy_key", "to_policy_key", "customer_key", "currency", "reason"),
        *("from_mrr_amount", "to_mrr_amount", "difference_amount", "created_at"),
    ],
    "mrr_invoice_bridge": [
        *("invoice_id", "subscription_id", "customer_key", "currency", "invoice_date", "period_start_at"),
        *("period_end_at", "reason", "cycle_amount", "invoiced_amount", "difference_amount", "created_at"),
    ],
}
TYPES = {
    "bigquery": {name: name for name in ("date", "string", "int64", "float64", "timestamp")},
    "duckdb": {
        "date": "date",
        "string": "string",
        "int64": "int64",
        "float64": "double",
        "timestamp": "timestamptz",
    },
}


def marts(manifest: Manifest) -> Nodes:
    return {
        node["name"]: node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and Path(node["original_file_path"]).parts[1] == "marts"
    }


def typed(node: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column["name"], column["data_type"]) for column in node["columns"].values()]


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
@pytest.mark.parametrize("grain", ["daily", "weekly", "monthly"])
@pytest.mark.parametrize("subject", MARTS)
def test_a_report_has_exactly_its_columns(
    manifests: dict[str, Manifest], target: str, grain: str, subject: str
) -> None:
    defined = LEADING | MARTS[subject] | {"created_at": "timestamp"}
    expected = [(name, TYPES[target][kind]) for name, kind in defined.items()]
    assert typed(marts(manifests[target])[f"{grain}_{subject}"]) == expected


@pytest.mark.parametrize("name", MONEY)
def test_a_mart_of_money_has_exactly_its_columns_and_no_inexact_amount(
    manifests: dict[str, Manifest], name: str
) -> None:
    columns = typed(marts(manifests["duckdb"])[name])
    assert [column for column, _ in columns] == MONEY[name]
    assert {kind for column, kind in columns if column.endswith("_amount")} <= {
        "decimal(38, 9)",
        "decimal(38, 12)",
    }


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_marts_are_public_contracted_and_typed(manifests: dict[str, Manifest], target: str) -> None:
    for name, node in marts(manifests[target]).items():
        assert node["access"] == "public", name
        assert node["config"]["contract"]["enforced"], name
        assert all(kind for _, kind in typed(node)), f"{name} has a column without a type"


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_only_marts_are_public(manifests: dict[str, Manifest], target: str) -> None:
    nodes = manifests[target]["nodes"].values()
    public = {
        node["name"] for node in nodes if node["resource_type"] == "model" and node["access"] == "public"
    }
    assert public == set(marts(manifests[target]))


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_siblings_share_columns_order_and_types(manifests: dict[str, Manifest], target: str) -> None:
    found = marts(manifests[target])
    for name, node in found.items():
        grain, _, subject = name.partition("_")
        if grain in {"weekly", "monthly"} and name not in OF_THEIR_OWN:
            assert typed(node) == typed(found[f"daily_{subject}"]), name


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_the_name_of_a_column_says_its_type(manifests: dict[str, Manifest], target: str) -> None:
    types = TYPES[target]
    forms = {
        r".+_at": {types["timestamp"]},
        r".+(?<!_to)_date": {types["date"]},
        r"(is|has)_.+": {"boolean", "bool"},
        r".+_(percentage|rate|change|coefficient)": {types["float64"]},
        r".+_amount(_.+)?": {
            "int64",
            "numeric",
            "decimal",
            "bignumeric",
            "decimal(38, 9)",
            "decimal(38, 12)",
        },
    }
    wrong = [
        f"{name}.{column}: {kind}"
        for name, node in marts(manifests[target]).items()
        for column, kind in typed(node)
        for form, kinds in forms.items()
        if re.fullmatch(form, column) and kind.lower() not in kinds
    ]
    assert wrong == []


def test_error_columns_are_the_same_in_seed_contract_and_models(manifest: Manifest, seeds: Nodes) -> None:
    with (PROJECT_ROOT / "seeds" / "error_types.csv").open(encoding="utf-8", newline="") as file:
        seeded = {row["column_name"] for row in csv.DictReader(file)}
    contracted = (
        set(marts(manifest)["daily_errors"]["columns"]) - set(LEADING) - {"total_errors", "created_at"}
    )
    reports = manifest["nodes"]["model.kpi.int_errors_reports"]
    carried = (
        set(reports["columns"])
        - set(LEADING)
        - {"grain", "is_reported", "total_errors", "created_at", "version", "basis"}
    )
    [accepted] = [
        node["test_metadata"]["kwargs"]["values"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and node.get("test_metadata", {}).get("name") == "accepted_values"
        and node["attached_node"] == seeds["error_types"]["unique_id"]
        and node["column_name"] == "column_name"
    ]
    assert seeded == contracted == carried == set(ERROR_COLUMNS)
    assert accepted == ERROR_COLUMNS


def test_a_seed_says_the_type_of_each_of_its_columns(seeds: Nodes) -> None:
    for name, node in seeds.items():
        with (PROJECT_ROOT / node["original_file_path"]).open(encoding="utf-8", newline="") as file:
            header = next(csv.reader(file))
        assert header == list(node["columns"]), name
        assert header == list(node["config"]["column_types"]), name
