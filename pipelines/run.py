"""What the commands do: load what is configured, build the marts, say how it went."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.build import BuildReport, build, check_dates
from pipelines.errors import KpiError, SettingError
from pipelines.sources import SOURCES, ensure_tables, is_configured, load_source
from pipelines.sources.load import LoadReport, Progress
from pipelines.warehouse import Warehouse


@dataclass
class RunReport:
    """What one command did, source by source, and the build behind them."""

    loads: list[LoadReport] = field(default_factory=list)
    build: BuildReport | None = None
    errors: list[KpiError] = field(default_factory=list)

    @property
    def is_well(self) -> bool:
        """Whether nothing failed."""
        failed_loads = any(report.failures for report in self.loads)
        return not (self.errors or failed_loads or (self.build and self.build.failures))


def ingest(warehouse: Warehouse, names: Sequence[str], progress: Progress, **options: bool) -> RunReport:
    """Load the sources named, or all that are configured; one that fails does not stop the others.

    `options` go to the sources' own `load`.
    Raises SettingError where there is nothing to load.
    """
    chosen = list(names) or [name for name in SOURCES if is_configured(name)]
    if not chosen:
        raise SettingError(
            "No source is configured.",
            "Set SOURCES__EVENTS__PATH, SOURCES__STRIPE__API_KEY or SOURCES__SCRAPED__TARGETS, in the environment "
            "or in .dlt/config.toml and .dlt/secrets.toml; or push figures: kpi push FILE.csv; or look at made-up "
            "data first: kpi demo",
        )
    report = RunReport()
    for name in chosen:
        try:
            report.loads.append(load_source(name, warehouse, progress, **options))
        except KpiError as error:
            report.errors.append(error)
    return report


def build_marts(
    warehouse: Warehouse,
    progress: Progress,
    *,
    report_date: dt.date | None = None,
    backfill: tuple[dt.date, dt.date] | None = None,
    full_refresh: bool = False,
    only: str | None = None,
    max_bytes: int | None = None,
) -> BuildReport:
    """Build the marts from whatever was loaded; sources never loaded count as empty."""
    check_dates(warehouse, report_date, backfill)
    ensure_tables(warehouse)
    return build(
        warehouse,
        progress,
        report_date=report_date,
        backfill=backfill,
        full_refresh=full_refresh,
        only=only,
        max_bytes=max_bytes,
    )
