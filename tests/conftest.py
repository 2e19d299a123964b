"""Warehouses in folders of their own, for the tests that use the command."""

from pathlib import Path

import pytest
from command_support import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """A warehouse that nobody has used yet."""
    return House(tmp_path)
