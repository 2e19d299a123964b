"""The two builds that several files of tests look at."""

import pytest

from bigquery.engine import Engine
from bigquery.parity import Parity


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Google's engine."""
    return Engine()


@pytest.fixture(scope="session")
def parity(tmp_path_factory: pytest.TempPathFactory) -> Parity:
    """Two builds on DuckDB and by Google's engine."""
    return Parity(tmp_path_factory.mktemp("parity")).go()
