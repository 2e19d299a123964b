"""dbt's own account of the project: one manifest a target, parsed without a warehouse and without a network.

duckdb    as everybody gets it
bigquery  with KPI_SCHEMA_PREFIX=trial_, readers and a retention of marts
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_support import clean_environment
from sharing import made_once

from pipelines.warehouse import PROJECT_ROOT

PREFIX = "trial_"
_TARGETS = {
    "duckdb": {"KPI_SCHEMA_PREFIX": ""},
    "bigquery": {
        "KPI_SCHEMA_PREFIX": PREFIX,
        "KPI_BIGQUERY_PROJECT": "offline",
        "KPI_INTERNAL_READERS": "group:company@example.com",
        "KPI_PUBLISHED_READERS": "group:partners@example.com user:reader@example.com",
        "KPI_MARTS_RETENTION_DAYS": "800",
    },
}


@pytest.fixture(scope="session")
def manifests() -> dict[str, dict[str, Any]]:
    """Parse the project for each target; a deprecation is an error."""
    folder = made_once("manifests", _parse_both)
    return {
        target: json.loads((folder / target / "manifest.json").read_text(encoding="utf-8"))
        for target in _TARGETS
    }


@pytest.fixture(scope="session")
def manifest(manifests: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The manifest of the default target."""
    return manifests["duckdb"]


@pytest.fixture(scope="session")
def models(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The models of the default target by name."""
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


@pytest.fixture(scope="session")
def seeds(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The seeds of the default target by name."""
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "seed"}


def _parse_both(folder: Path) -> None:
    processes = {target: _parse(target, variables, folder) for target, variables in _TARGETS.items()}
    for target, process in processes.items():
        output, _ = process.communicate()
        assert process.returncode == 0, f"dbt parse --target {target}:\n{output}"


def _parse(target: str, variables: dict[str, str], folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "dbt.cli.main", "--quiet", "parse", "--no-partial-parse"),
            *("--target", target, "--target-path", str(folder / target), "--log-path", str(folder / target)),
            *("--warn-error-options", '{"error": "all"}'),
        ],
        cwd=PROJECT_ROOT,
        env=clean_environment(folder) | variables | {"DBT_PROFILES_DIR": str(PROJECT_ROOT / "profiles")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
