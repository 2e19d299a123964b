"""One module, or small package, for each source of raw rows.

Each has `is_configured()`, `ensure_tables(warehouse)` and `load(warehouse, progress)`; a new source is one more
such module and its name in SOURCES.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pipelines.sources.load import LoadReport, Progress
    from pipelines.warehouse import Warehouse

SOURCES = ("events", "stripe", "scraped", "pushed")


def source_module(name: str) -> Any:
    """Import a source by its name, when it is needed and not before."""
    return import_module(f"pipelines.sources.{name}")


def is_configured(name: str) -> bool:
    """Say whether the settings name anything that this source could load."""
    return bool(source_module(name).is_configured())


def load_source(name: str, warehouse: "Warehouse", progress: "Progress", **options: bool) -> "LoadReport":
    """Load one source; raises KpiError where it cannot be loaded."""
    return cast("LoadReport", source_module(name).load(warehouse, progress, **options))


def ensure_tables(warehouse: "Warehouse") -> None:
    """Make the empty raw tables of sources never loaded, so that every model can be built."""
    for name in SOURCES:
        source_module(name).ensure_tables(warehouse)
