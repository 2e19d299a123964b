"""Warehouses in folders of their own, for the tests that use the command; and which files begin first."""

from pathlib import Path

import pytest
from command_support import House
from sharing import share_in

LONGEST_FILES = (
    "bigquery",
    "test_privacy_commands",
    "test_incremental_builds",
    "test_cli_builds",
    "test_demo_run",
    "test_releases",
    "test_marts_equal_reference",
    "test_faults_builds",
    "architecture",
    "test_faults_loads",
    "test_digest_command",
    "test_cli_sources",
    "test_histories_equal_reference",
    "test_stripe_interleavings",
    "test_mrr_equals_reference",
)
"""Files (or folders) that take longest: begun last, one of them would keep the others' workers waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files; workers take whole files, in this order."""
    items.sort(key=lambda item: _place(item.path))


def _place(path: Path) -> int:
    names = {path.stem, path.parent.name}
    return next((place for place, name in enumerate(LONGEST_FILES) if name in names), len(LONGEST_FILES))


@pytest.fixture(scope="session", autouse=True)
def _shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> None:
    """Let the workers of a run share what is made once."""
    own = tmp_path_factory.getbasetemp()
    share_in(own if worker_id == "master" else own.parent)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A warehouse that nobody has used yet."""
    return House(tmp_path)
