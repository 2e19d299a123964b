"""Layers are arrows in one direction, each in its own schema."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.sources import SOURCES, source_module
from pipelines.warehouse import PROJECT_ROOT

pytestmark = pytest.mark.xdist_group("manifest")

Nodes = dict[str, dict[str, Any]]

MAY_READ = {
    "staging": {"source"},
    "utilities": {"utilities"},
    "intermediate": {"staging", "intermediate", "utilities", "seed"},
    "marts": {"staging", "intermediate", "utilities", "seed", "marts"},
    # What is published comes out of the ledger alone, which is a mart too.
    "published": {"published", "ledger", "utilities"},
    "ledger": {"staging", "intermediate", "utilities", "ledger"},
}
LEDGER = {"release_ledger", "release_parameters"}
SCHEMAS = {"staging": "staging", "utilities": "intermediate", "intermediate": "intermediate", "seed": "seeds"}
MART_SCHEMAS = {"internal": "kpi_internal", "published": "kpi_metrics"}
PREFIX = "trial_"
# What anybody can read on the web is public as it is, and the catalogue says which metrics are published.
PUBLIC = {
    ("published_metric_data", "model.kpi.scraped_figures"),
    ("published_metric_data", "seed.kpi.metrics"),
}
# The one place that writes back: which arrivals are overruled is known only where all of them are compared.
WRITES_BACK = {("int_event_arrivals", "source.kpi.events.quarantine")}


def layer(unique_id: str, manifest: dict[str, Any]) -> str:
    kind = unique_id.split(".")[0]
    if kind != "model":
        return kind
    path = Path(manifest["nodes"][unique_id]["original_file_path"])
    if path.stem in LEDGER:
        return "ledger"
    return "published" if path.parts[2] == "published" else path.parts[1]


def reads(node: dict[str, Any]) -> list[str]:
    return [unique_id for unique_id in node["depends_on"]["nodes"] if not unique_id.startswith("macro")]


def test_each_layer_reads_only_the_layers_below_it(manifest: dict[str, Any], models: Nodes) -> None:
    wrong = [
        f"{name} ({layer(node['unique_id'], manifest)}) reads {read}"
        for name, node in models.items()
        for read in reads(node)
        if layer(read, manifest) not in MAY_READ[layer(node["unique_id"], manifest)]
        and (name, read) not in WRITES_BACK | PUBLIC
    ]
    assert wrong == []


def test_a_staging_model_is_a_view_of_one_raw_table_of_its_own_source(models: Nodes) -> None:
    for name, node in models.items():
        folders = Path(node["original_file_path"]).parts
        if folders[1] != "staging":
            continue
        [read] = reads(node)
        _, _, source, table = read.split(".")
        assert folders[2] == source, name
        assert name == f"stg_{source}__{table}"
        assert node["config"]["materialized"] == "view", name


def test_a_mart_reads_staging_of_one_source_at_most(manifest: dict[str, Any], models: Nodes) -> None:
    for name, node in models.items():
        if Path(node["original_file_path"]).parts[1] == "marts":
            staging = [read for read in reads(node) if layer(read, manifest) == "staging"]
            sources = {Path(manifest["nodes"][read]["original_file_path"]).parts[2] for read in staging}
            assert len(sources) <= 1, f"{name} reads staging of {sorted(sources)}"


def test_one_noun_stands_in_five_places(manifest: dict[str, Any]) -> None:
    schemas = {source["source_name"]: source["schema"] for source in manifest["sources"].values()}
    for name in SOURCES:
        module = source_module(name)
        assert all(hasattr(module, part) for part in ("is_configured", "ensure_tables", "load")), name
        assert schemas.get(name) == f"raw_{name}", f"no dbt source {name} with the schema raw_{name}"
        assert (PROJECT_ROOT / "models" / "staging" / name / f"{name}.yml").is_file()
    assert sorted(schemas) == sorted(SOURCES)


@pytest.mark.parametrize(("target", "prefix"), [("duckdb", ""), ("bigquery", PREFIX)])
def test_schemas_have_exactly_the_names_of_their_layers(
    manifests: dict[str, dict[str, Any]], target: str, prefix: str
) -> None:
    manifest = manifests[target]
    for node in manifest["nodes"].values():
        if node["resource_type"] not in {"model", "seed"}:
            continue
        folders = Path(node["original_file_path"]).parts
        kind = "seed" if node["resource_type"] == "seed" else folders[1]
        expected = MART_SCHEMAS[folders[2]] if kind == "marts" else SCHEMAS[kind]
        assert node["schema"] == f"{prefix}{expected}", node["name"]
        # Published marts carry the names of the internal ones, in a schema of their own.
        assert node["alias"] == node["name"].removeprefix("published_")
    for source in manifest["sources"].values():
        assert source["schema"] == f"{prefix}raw_{source['source_name']}"
        # dlt's own tables carry its prefix.
        assert source["identifier"].removeprefix("_dlt_") == source["name"]


def test_both_targets_hold_the_same_nodes(manifests: dict[str, dict[str, Any]]) -> None:
    names = [
        sorted(
            node["unique_id"]
            for node in manifest["nodes"].values()
            if node["resource_type"] in {"model", "seed"}
        )
        for manifest in manifests.values()
    ]
    assert names[0] == names[1]
