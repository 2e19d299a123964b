"""A warehouse, a clock and a web site for the tests of the scraped source."""

import datetime as dt
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pipelines.demo.page_server import PageServer
from pipelines.sources.load import LoadReport
from pipelines.sources.scraped import load
from pipelines.sources.scraped.client import Timeouts
from pipelines.warehouse import Warehouse, environment

START = dt.datetime(2026, 3, 2, 9, 0, tzinfo=dt.UTC)


@dataclass
class FakeClock:
    """Time that passes only where somebody sleeps."""

    instant: dt.datetime = START
    slept: list[float] = field(default_factory=list)

    def now(self) -> dt.datetime:
        return self.instant

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.instant += dt.timedelta(seconds=seconds)

    def pass_by(self, **duration: float) -> None:
        self.instant += dt.timedelta(**duration)


@dataclass
class Scraping:
    """Everything around one warehouse that is loaded from one site."""

    folder: Path
    site: PageServer
    clock: FakeClock
    zone: str = "UTC"
    settings: dict[str, str] = field(default_factory=dict)
    progress: list[str] = field(default_factory=list)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(
            target="duckdb",
            duckdb_path=self.folder / "w.duckdb",
            schema_prefix="",
            reporting_timezone=self.zone,
        )

    @property
    def targets_file(self) -> Path:
        return self.folder / "scraped.toml"

    def declare(self, text: str) -> None:
        """Write the targets file; SITE stands for the site's address."""
        self.targets_file.write_text(text.replace("SITE", self.site.url), encoding="utf-8")

    def figure(self, extractor: str, *more: str, url: str = "SITE/about", key: str = "figure") -> None:
        """Declare one target."""
        self.declare("\n".join(["[[target]]", f'metric_key = "{key}"', f'url = "{url}"', extractor, *more]))

    def load(self, **options: Any) -> LoadReport:
        settings = {"SOURCES__SCRAPED__TARGETS": str(self.targets_file)} | self.settings
        options.setdefault("timeouts", Timeouts(connect=2, read=0.5, whole=1.0))
        with environment(**settings):
            return load(self.warehouse, self.progress.append, clock=self.clock, **options)

    def rows(self, columns: str = "*", order: str = "metric_key, observed_at") -> list[tuple[Any, ...]]:
        connection = duckdb.connect(str(self.warehouse.duckdb_path), read_only=True)
        try:
            connection.execute("set TimeZone = 'UTC'")
            sql = f"select {columns} from raw_scraped.observations order by {order}"
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def only(self) -> tuple[str, str | None, Any]:
        """State, code of the reason, and value of the one observation."""
        [(state, reason, value)] = self.rows("state, reason, value")
        return state, reason.partition(":")[0] if reason else None, value

    def assert_nowhere(self, *texts: str) -> None:
        """Hold that no text is in the warehouse or in dlt's working files; kept pages are apart."""
        kept = self.warehouse.state_folder / "pages"
        for path in self.folder.rglob("*"):
            if path.is_file() and kept not in path.parents and path != self.targets_file:
                content = path.read_bytes()
                content += gzip.decompress(content) if content[:2] == b"\x1f\x8b" else b""
                assert not [text for text in texts if text.encode() in content], path
        everything = repr(self.rows())
        assert not [text for text in texts if text in everything]


@contextmanager
def scraping(folder: Path) -> Iterator[Scraping]:
    """A fresh site, clock and warehouse."""
    clock = FakeClock()
    with PageServer(clock.now) as site:
        yield Scraping(folder, site, clock)
