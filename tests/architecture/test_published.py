"""What is published comes out of the release ledger: no path leads from raw data to it any other way."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("manifest")

Manifest = dict[str, Any]

LEDGER = "model.kpi.release_ledger"
CALENDAR = {"model.kpi.report_dates", "model.kpi.release_parameters"}
"""What published models may read besides: dates that builds were asked for, and settings."""
LONG_TABLE = "model.kpi.published_metric_data"
OF_THE_WEB = "model.kpi.scraped_figures"
CATALOGUE = "seed.kpi.metrics"
PUBLIC = {OF_THE_WEB, CATALOGUE}
"""What the long table alone may read besides: figures that anybody can read on the web, and which metrics are published."""
NAMED_RELATION = re.compile(r"\b(?:from|join)\s+(?!\{\{)[`\"\w]+\s*\.", re.IGNORECASE)
QUESTIONS = re.compile(r"\b(first_column|run_query|load_relation|statement|this|source|hook|graph|adapter)\b")


def published(manifest: Manifest) -> dict[str, dict[str, Any]]:
    """The models of the schema that everybody may read, the ledger itself left aside."""
    return {
        unique_id: node
        for unique_id, node in manifest["nodes"].items()
        if node["resource_type"] == "model"
        and Path(node["original_file_path"]).parts[1:3] == ("marts", "published")
        and unique_id not in {LEDGER, *CALENDAR}
    }


def paths_round_the_ledger(manifest: Manifest) -> list[list[str]]:
    """Each way from a published model down to anything that is neither the ledger nor the calendar."""
    found: list[list[str]] = []

    def follow(path: list[str]) -> None:
        read = manifest["nodes"].get(path[-1])
        below = [] if read is None else read["depends_on"].get("nodes", [])
        if read is None or (not below and path[-1] not in CALENDAR):
            found.append(path)
        for unique_id in below:
            if unique_id != LEDGER and not (path == [LONG_TABLE] and unique_id in PUBLIC):
                follow([*path, unique_id])

    for unique_id in published(manifest):
        follow([unique_id])
    return found


def columns(node: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column["name"], column["data_type"]) for column in node["columns"].values()]


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_no_path_leads_from_raw_data_to_a_published_model_round_the_ledger(
    manifests: dict[str, Manifest], target: str
) -> None:
    assert len(published(manifests[target])) == 13
    assert paths_round_the_ledger(manifests[target]) == []


@pytest.mark.parametrize(
    ("model", "read"),
    [
        ("model.kpi.published_daily_engagement", "model.kpi.int_engagement_reports"),
        ("model.kpi.published_daily_engagement", "source.kpi.events.events"),
        ("model.kpi.published_monthly_errors", "model.kpi.daily_errors"),
        ("model.kpi.int_released_periods", "model.kpi.int_leaves"),
        ("model.kpi.published_weekly_funnel", "seed.kpi.event_roles"),
        ("model.kpi.report_dates", "model.kpi.int_load_days"),
        ("model.kpi.published_metric_data", "model.kpi.metric_data"),
        ("model.kpi.published_metric_data", "model.kpi.stg_pushed__metric_values"),
        ("model.kpi.published_daily_engagement", "model.kpi.scraped_figures"),
        ("model.kpi.int_published_funnels", "seed.kpi.metrics"),
    ],
)
def test_a_path_round_the_ledger_is_found_where_one_is_added(
    manifest: Manifest, model: str, read: str
) -> None:
    altered = {
        "nodes": manifest["nodes"] | {model: copy.deepcopy(manifest["nodes"][model])},
    }
    assert read in manifest["nodes"] or read in manifest["sources"]
    altered["nodes"][model]["depends_on"]["nodes"].append(read)
    assert any(read in path for path in paths_round_the_ledger(altered))


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_what_is_public_as_it_is_comes_from_the_web_alone(
    manifests: dict[str, Manifest], target: str
) -> None:
    nodes = manifests[target]["nodes"]
    pending, origins = [OF_THE_WEB], set()
    while pending:
        unique_id = pending.pop()
        below = nodes[unique_id]["depends_on"]["nodes"] if unique_id in nodes else []
        pending += below
        if not below:
            origins.add(unique_id)
    assert origins == {"source.kpi.scraped.observations"}
    readers = {
        unique_id
        for unique_id, node in published(manifests[target]).items()
        if PUBLIC & set(node["depends_on"]["nodes"])
    }
    assert readers == {LONG_TABLE}


def test_the_dates_of_reports_come_from_no_data(manifest: Manifest) -> None:
    for unique_id in CALENDAR:
        assert manifest["nodes"][unique_id]["depends_on"]["nodes"] == []


def test_published_sql_names_no_table_but_by_its_model(manifest: Manifest) -> None:
    """A table named in the text, or asked for while compiling, would be a path that the graph does not show."""
    seen: list[str] = []
    pending = list(published(manifest))
    while pending:
        unique_id = pending.pop()
        if unique_id in {LEDGER, *CALENDAR, *PUBLIC, *seen}:
            continue
        seen.append(unique_id)
        node = manifest["nodes"][unique_id]
        assert not NAMED_RELATION.search(node["raw_code"]), node["name"]
        assert not QUESTIONS.search(node["raw_code"]), node["name"]
        assert not node["config"].get("pre-hook"), node["name"]
        assert not node["config"].get("post-hook"), node["name"]
        pending += node["depends_on"]["nodes"]
    assert len(seen) > 12


@pytest.mark.parametrize("target", ["duckdb", "bigquery"])
def test_published_marts_have_the_columns_of_the_internal_ones(
    manifests: dict[str, Manifest], target: str
) -> None:
    nodes = manifests[target]["nodes"]
    for unique_id, node in published(manifests[target]).items():
        internal = nodes[unique_id.replace("published_", "")]
        assert columns(node) == columns(internal), node["name"]
        assert node["alias"] == internal["alias"] == internal["name"]


def test_no_published_column_goes_without_a_derivation(manifest: Manifest) -> None:
    lacking = [
        f"{node['name']}.{column['name']}"
        for node in published(manifest).values()
        for column in node["columns"].values()
        if not column["config"].get("meta", {}).get("derivation", "").strip()
    ]
    assert lacking == []
