"""On BigQuery tables are partitioned, labelled, granted to their readers and kept as long as the settings say; on DuckDB none of it."""

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("manifest")

NO_DATE = {"mrr_at_risk", "mrr_by_subscription", "mrr_policy_bridge", "release_parameters"}
"""Marts of which no date says where a row belongs."""
KEPT_FOR_EVER = {"release_ledger", "release_parameters", "metric_versions"}
LAID_OUT = ("partition_by", "cluster_by", "labels", "partition_expiration_days", "require_partition_filter")


def nodes(manifest: dict[str, Any], *kinds: str) -> dict[str, Any]:
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] in kinds}


def marts(manifest: dict[str, Any]) -> dict[str, Any]:
    return {
        name: node
        for name, node in nodes(manifest, "model").items()
        if Path(node["original_file_path"]).parts[1] == "marts"
    }


def test_every_mart_with_a_date_is_partitioned_by_it(manifests: dict[str, dict[str, Any]]) -> None:
    for name, node in marts(manifests["bigquery"]).items():
        partition = node["config"].get("partition_by")
        assert (partition is None) == (name in NO_DATE), name
        if partition:
            assert node["columns"][partition["field"]]["data_type"] == partition["data_type"] == "date", name
            dates = [column for column in node["columns"] if column.endswith("_date")]
            assert partition["field"] == ("report_date" if "report_date" in dates else dates[0]), name


def test_clusters_are_columns_of_the_model(manifests: dict[str, dict[str, Any]]) -> None:
    clustered = {
        name: node
        for name, node in nodes(manifests["bigquery"], "model").items()
        if node["config"].get("cluster_by")
    }
    assert clustered
    for name, node in clustered.items():
        assert set(node["config"]["cluster_by"]) <= set(node["columns"]), name


def test_readers_are_granted_their_own_schema_and_nothing_else(manifests: dict[str, dict[str, Any]]) -> None:
    readers = {
        "trial_kpi_internal": ["group:company@example.com"],
        "trial_kpi_metrics": ["group:partners@example.com", "user:reader@example.com"],
    }
    for name, node in nodes(manifests["bigquery"], "model", "seed").items():
        wanted = readers.get(node["schema"])
        assert node["config"].get("grants", {}) == (
            {"roles/bigquery.dataViewer": wanted} if wanted else {}
        ), name


def test_what_readers_are_granted_are_tables_of_their_own(manifests: dict[str, dict[str, Any]]) -> None:
    """A view would let them read nothing without a grant on what lies behind it."""
    for name, node in marts(manifests["bigquery"]).items():
        assert node["config"]["materialized"] in {"table", "incremental"}, name


def test_marts_expire_but_what_was_ever_shown(manifests: dict[str, dict[str, Any]]) -> None:
    expiring = {
        name
        for name, node in nodes(manifests["bigquery"], "model").items()
        if node["config"].get("partition_expiration_days") == 800
    }
    assert expiring == set(marts(manifests["bigquery"])) - KEPT_FOR_EVER - NO_DATE


def test_every_table_says_which_layer_it_is_of(manifests: dict[str, dict[str, Any]]) -> None:
    for name, node in nodes(manifests["bigquery"], "model", "seed").items():
        layer = node["schema"].removeprefix("trial_")
        assert node["config"]["labels"] == {"app": "kpi_warehouse", "layer": layer}, name


def test_nothing_of_it_is_on_duckdb(manifests: dict[str, dict[str, Any]]) -> None:
    for name, node in nodes(manifests["duckdb"], "model", "seed").items():
        assert {key: node["config"].get(key) for key in LAID_OUT} == dict.fromkeys(LAID_OUT), name
        assert node["config"].get("grants", {}) == {}, name


def test_no_model_needs_what_is_not_proved(manifests: dict[str, dict[str, Any]]) -> None:
    """Copied partitions and materialised views are left out on purpose."""
    for name, node in nodes(manifests["bigquery"], "model").items():
        assert node["config"]["materialized"] in {"view", "table", "incremental"}, name
        assert not (node["config"].get("partition_by") or {}).get("copy_partitions"), name
