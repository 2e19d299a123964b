"""Every model is two files of one name, described, and called as its layer calls its models."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.warehouse import PROJECT_ROOT

pytestmark = pytest.mark.xdist_group("manifest")

Nodes = dict[str, dict[str, Any]]

NAMES = {
    "staging": r"stg_[a-z]+__[a-z]+(_[a-z]+)*",
    "intermediate": r"int_[a-z]+(_[a-z]+)*s",
    "utilities": r"[a-z]+(_[a-z]+)*s",
}
# The module behind each exposure, and the modules that the destinations share.
DESTINATIONS = {"digest_in_discord": "discord", "digest_in_notion": "notion", "digest_page": "files"}
HELPERS = {"__init__", "exchange", "memory", "pieces"}
REPORTS = {"engagement", "advanced_metrics", "errors", "funnel"}
GRAIN = re.compile(r"One row per [^.]+\.$")


def test_a_model_is_two_files_of_one_name(models: Nodes) -> None:
    for name, node in models.items():
        path = Path(node["original_file_path"])
        assert path.stem == name
        assert node["patch_path"] == f"kpi://{path.with_suffix('.yml')}", (
            f"{name} is not described in {name}.yml"
        )
    sql = {path.stem for path in (PROJECT_ROOT / "models").rglob("*.sql")}
    described = {path.stem for path in (PROJECT_ROOT / "models").rglob("*.yml")}
    sources = {path.name for path in (PROJECT_ROOT / "models" / "staging").iterdir()}
    # The readers of the marts are none of the layers.
    readers = {"exposures"}
    assert described - sql - readers <= sources, "a .yml that belongs to no model and to no source"
    assert sql == set(models), "a .sql that is no model (disabled, or not found)"


def test_every_model_and_seed_is_described_and_says_its_grain(models: Nodes, seeds: Nodes) -> None:
    for name, node in (models | seeds).items():
        assert GRAIN.search(node["description"].strip()), (
            f"{name}: its description ends with no 'One row per …'"
        )


def test_every_raw_table_is_described_and_says_its_grain(manifest: dict[str, Any]) -> None:
    for source in manifest["sources"].values():
        assert source["source_description"], source["source_name"]
        assert GRAIN.search(source["description"].strip()), source["unique_id"]


def test_every_column_is_described(models: Nodes, seeds: Nodes) -> None:
    wrong = [
        f"{name}.{column['name']}"
        for name, node in (models | seeds).items()
        for column in node["columns"].values()
        if not re.search(r"\w.*[.]$", column["description"].strip(), re.DOTALL)
    ]
    assert wrong == []
    assert [name for name, node in (models | seeds).items() if not node["columns"]] == []


def test_every_column_of_a_plain_select_is_described_in_its_order(models: Nodes) -> None:
    """Contracts hold this for marts; the other layers are read from their last select."""
    for name, node in models.items():
        last = node["raw_code"].rsplit("\nselect\n", 1)[-1].split("\nfrom ")[0]
        if node["config"]["contract"]["enforced"] or "{%" in last or "*" in last:
            continue
        entries = [line.strip().rstrip(",") for line in last.splitlines() if re.match(r" {4}\S", line)]
        written = [
            re.split(r"\s+as\s+|\.", entry)[-1] for entry in entries if not re.match(r"--|\)|end\b", entry)
        ]
        closing = [entry for entry in entries if re.match(r"(\)|end).* as \w+$", entry)]
        if closing or any(not re.fullmatch(r"\w+", column) for column in written):
            continue
        assert list(node["columns"]) == written, name


def test_names_have_the_form_of_their_layer(models: Nodes, seeds: Nodes) -> None:
    for name, node in models.items():
        layer = Path(node["original_file_path"]).parts[1]
        if layer in NAMES:
            assert re.fullmatch(NAMES[layer], name), f"{name} in {layer}"
        else:
            assert re.fullmatch(r"[a-z]+(_[a-z]+)+", name), name
    for name in seeds:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*s", name), f"{name} is no plural noun"


def test_no_data_test_stores_the_rows_that_it_finds(manifest: dict[str, Any]) -> None:
    """They would show what is exact, or what keeps people out; a setting of its own goes before --store-failures."""
    storing = [
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and node["config"].get("store_failures") is not False
    ]
    assert storing == []


def test_singular_data_tests_say_what_they_assert(manifest: dict[str, Any]) -> None:
    singular = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and "test_metadata" not in node
    ]
    assert singular
    for node in singular:
        assert re.fullmatch(r"assert(_[a-z0-9]+)+", node["name"]), node["name"]


def test_every_mart_and_seed_has_a_test_of_its_key(
    manifest: dict[str, Any], models: Nodes, seeds: Nodes
) -> None:
    keyed = {
        node["attached_node"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test"
        and node.get("test_metadata", {}).get("name") in {"unique", "unique_together"}
    }
    marts = [node for node in models.values() if Path(node["original_file_path"]).parts[1] == "marts"]
    assert [node["name"] for node in [*marts, *seeds.values()] if node["unique_id"] not in keyed] == []


def test_every_unit_test_says_what_it_shows(manifest: dict[str, Any]) -> None:
    assert manifest["unit_tests"]
    for test in manifest["unit_tests"].values():
        assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+){2,}", test["name"]), f"{test['name']} is no sentence"


def test_reports_are_siblings_in_three_grains(models: Nodes) -> None:
    for subject in REPORTS:
        assert {f"{grain}_{subject}" for grain in ("daily", "weekly", "monthly")} <= set(models)
    grains = [name for name in models if re.match(r"(weekly|monthly)_", name)]
    assert [name for name in grains if f"daily_{name.split('_', 1)[1]}" not in models] == []


def test_a_unit_test_of_what_depends_on_the_zone_names_its_zone(manifest: dict[str, Any]) -> None:
    """Else it fails for a company that reports in another zone."""
    macros = manifest["macros"]

    def called(names: list[str]) -> set[str]:
        known: set[str] = set()
        while names:
            name = names.pop()
            if name not in known:
                known.add(name)
                names.extend(macros[name]["depends_on"]["macros"] if name in macros else [])
        return known

    silent = [
        test["name"]
        for test in manifest["unit_tests"].values()
        for tested in [manifest["nodes"][test["depends_on"]["nodes"][0]]]
        if "macro.kpi.reporting_timezone" in called(list(tested["depends_on"]["macros"]))
        and "reporting_timezone" not in (test["overrides"] or {}).get("vars", {})
    ]
    assert silent == []


def test_every_destination_of_figures_is_an_exposure(manifest: dict[str, Any]) -> None:
    folder = PROJECT_ROOT / "pipelines" / "destinations"
    modules = {path.stem for path in folder.glob("*.py")} - HELPERS
    said = {DESTINATIONS[exposure["name"]] for exposure in manifest["exposures"].values()}
    assert said == modules
