"""Writes the made-up company's files, starts its servers, and loads both through the real sources."""

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.demo import settings
from pipelines.demo.billing import stripe_account
from pipelines.demo.calendar import WINDOW_DAYS, Company
from pipelines.demo.event_files import write_events
from pipelines.demo.page_server import PageServer
from pipelines.demo.stripe_server import StripeServer
from pipelines.errors import KpiError
from pipelines.privacy.identity import Keys, write_keys_file
from pipelines.sources import source_module
from pipelines.sources.load import LoadReport, Progress
from pipelines.warehouse import Warehouse

TARGETS = """# Figures that stand on the made-up company's web site.

[[target]]
metric_key = "newsletter_subscribers"
url = "{site}/about"
css = "#subscribers"
decimal = "."
never_falls = true

[[target]]
metric_key = "github_stars"
github = "acme/reader"
figure = "stars"
base_url = "{site}"

[[target]]
metric_key = "podcast_episodes"
url = "{site}/feed.xml"
feed = true
never_falls = true
"""


KEYS = Keys(b"user key of a made-up company, no secret", b"record key of a made-up company, no secret")
"""Nobody's secret, since nobody is behind the figures: with them every demo publishes the same."""
FILES = "demo-files"
LATE_DAY_AGE = 15
"""Days before today of the day whose events come late, when its figures were final."""
SECONDS_BETWEEN_LINES = 2.0


def load_company(
    warehouse: Warehouse,
    folder: Path,
    progress: Progress,
    today: dt.date,
    before_late_day: Callable[[], None] = lambda: None,
) -> list[LoadReport]:
    """Write the company as it is at noon UTC of `today` into `folder`, and load it.

    The events of one day come late: in the first run of a folder, they are loaded after `before_late_day` was called.
    Nothing is written but the subfolder `demo-files` and the warehouse. A second call on the same day loads
    no event twice. Raises KpiError where the folder cannot be written, where the warehouse is not a demo's,
    or where a source stops.
    """
    files = folder / FILES
    if warehouse.duckdb_path.exists() and not files.exists():
        raise KpiError(
            f"{warehouse.duckdb_path} was not made by the demo, which would mix made-up data into it.",
            "Name another folder: kpi demo --dir DIR",
        )
    company = Company(today)
    progress(f"Making up a company: {WINDOW_DAYS} days of events up to {today}")
    with StripeServer(stripe_account(company)) as stripe, PageServer() as site:
        targets, late = files / "scraped.toml", None
        try:
            write_keys_file(warehouse.keys_file, KEYS, is_first=True)
            known = set((files / "events").glob("*"))
            written = write_events(company, files / "events")
            late = _held_back(company, files, known)
            targets.write_text(TARGETS.format(site=site.url), encoding="utf-8")
        except OSError as error:
            raise KpiError(
                f"The demo's files cannot be written into {files} ({error.strerror or type(error).__name__}).",
                "Name a folder that you may write, on a disk with 100 MB to spare: kpi demo --dir DIR",
            ) from error
        progress(f"Wrote {written.lines:,} lines in {written.files} files into {files / 'events'}")
        own = {
            "events": {"path": str(files / "events")},
            "stripe": {"api_key": stripe.api_key, "base_url": stripe.base_url},
            "scraped": {"targets": str(targets), "contact": site.url},
        }
        reports = []
        with settings.only(own):
            for name in own:
                progress(f"Loading {name}")
                reports.append(source_module(name).load(warehouse, _now_and_then(progress)))
        if late:
            before_late_day()
            progress(f"A day of events comes late: {late.name}")
            late.rename(files / "events" / late.name)
            with settings.only(own):
                _add(reports[0], source_module("events").load(warehouse, _now_and_then(progress)))
    return reports


def _held_back(company: Company, files: Path, known: set[Path]) -> Path | None:
    """Take the file of the late day out of the folder, unless it was there before the run."""
    day = company.date(company.last_day - LATE_DAY_AGE)
    [path] = (files / "events").glob(f"events-{day}.*")
    if path in known:
        return None
    return path.rename(files / path.name)


def _add(report: LoadReport, further: LoadReport) -> None:
    """Put what a second load of the source did to what the first one did."""
    for table, count in further.rows.items():
        report.rows[table] = report.rows.get(table, 0) + count
    report.notes += further.notes
    report.failures += further.failures


def _now_and_then(progress: Progress) -> Progress:
    """Show one line every two seconds: small files fly by."""
    shown = time.monotonic()

    def show(line: str) -> None:
        nonlocal shown
        if time.monotonic() - shown >= SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            progress(line)

    return show
