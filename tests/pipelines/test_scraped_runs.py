"""What repeated, killed and repeated-in-retrospect runs do."""

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scraped_support import Scraping, scraping

from pipelines.errors import KpiError, SettingError
from pipelines.sources.scraped import ensure_tables, is_configured, load, loading
from pipelines.warehouse import environment


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Scraping]:
    with scraping(tmp_path) as running:
        yield running


def test_a_second_run_of_the_day_asks_nothing_and_changes_nothing(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    before, asked = site.rows(), site.site.paths()
    site.clock.pass_by(hours=3)
    report = site.load()
    assert (site.rows(), site.site.paths()) == (before, asked)
    assert report.failures == []
    assert any("not due" in note for note in report.notes)


def test_what_gave_no_value_is_asked_again_on_the_same_day(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.site.inject("/about", status=404)
    site.load()
    site.site.mend("/about")
    site.clock.pass_by(hours=1)
    assert site.load().failures == []
    assert site.rows("state") == [("broken",), ("ok",)]


def test_a_day_ends_in_the_reporting_zone(site: Scraping) -> None:
    site.zone = "America/New_York"
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.clock.instant = dt.datetime(2026, 3, 3, 4, 58, tzinfo=dt.UTC)
    site.load()
    site.load()
    site.clock.instant = dt.datetime(2026, 3, 3, 5, 0, tzinfo=dt.UTC)
    site.load()
    assert len(site.rows()) == 2


def test_hours_between_values_are_kept(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'", "every_hours = 6")
    for hours in (0, 1, 4.95, 6, 5):
        site.clock.pass_by(hours=hours)
        site.load()
    assert len(site.rows()) == 3


def test_a_mended_extractor_mends_the_past(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    site.clock.pass_by(days=1)
    site.site.inject("/about", "<!doctype html><b class='readers'>1,300</b>")
    site.load()
    site.clock.pass_by(days=1)
    site.load()
    assert [row[0] for row in site.rows("state")] == ["ok", "broken", "broken"]
    asked = site.site.paths()

    site.figure("css = 'b.readers'", "decimal = '.'")
    report = site.load(reparse=True)
    assert report.rows == {"observations": 2}
    assert site.rows("state, value") == [("ok", 1250), ("ok", 1300), ("ok", 1300)]
    assert site.site.paths() == asked
    mended = site.rows()
    assert site.load(reparse=True).rows == {}
    assert site.rows() == mended


def test_reading_again_judges_by_the_values_as_they_are_mended(site: Scraping) -> None:
    for figure in (1000, 1001, 1002):
        site.site.figures["subscribers"] = figure
        site.figure("css = 'li.issue'", "count = true")
        site.load()
        site.clock.pass_by(days=1)
    site.figure("css = '#subscribers'", "decimal = '.'", "never_falls = true")
    site.load(reparse=True)
    assert site.rows("state, value") == [("ok", 1000), ("ok", 1001), ("ok", 1002)]


def test_a_value_that_is_now_implausible_is_taken_back(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    site.figure("css = '#subscribers'", "decimal = '.'", "max = 1000")
    site.load(reparse=True)
    assert site.only() == ("suspect", "above_maximum", None)


def test_pages_are_kept_for_thirty_days_and_only_for_their_owner(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    for _ in range(3):
        site.load()
        site.clock.pass_by(days=16)
    site.load()
    folder = site.warehouse.state_folder / "pages"
    assert len(list(folder.rglob("*.page.gz"))) == 2
    modes = {path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")]}
    assert modes == {0o700, 0o600}


def test_a_damaged_page_is_passed_over(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    [page] = (site.warehouse.state_folder / "pages").rglob("*.page.gz")
    page.write_bytes(page.read_bytes()[:40])
    assert site.load(reparse=True).failures == []
    assert site.load(force=True).failures == []
    assert site.rows("http_status, value") == [(200, 1250), (200, 1250)]


def test_tables_are_made_without_a_request_and_once(site: Scraping) -> None:
    ensure_tables(site.warehouse)
    assert site.rows() == []
    working_files = site.warehouse.state_folder / "pipelines" / "kpi_scraped"
    before = sorted(path.stat().st_mtime_ns for path in working_files.rglob("*"))
    ensure_tables(site.warehouse)
    assert sorted(path.stat().st_mtime_ns for path in working_files.rglob("*")) == before
    site.warehouse.duckdb_path.unlink()
    ensure_tables(site.warehouse)
    assert site.rows() == []


def test_nothing_declared_says_what_to_do(site: Scraping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "DEFAULT_TARGETS", site.targets_file)
    monkeypatch.delenv("SOURCES__SCRAPED__TARGETS", raising=False)
    assert not is_configured()
    with pytest.raises(SettingError, match=r"example\.toml"):
        load(site.warehouse, site.progress.append, clock=site.clock)
    site.figure("css = '#subscribers'", "decimal = '.'")
    assert is_configured()
    assert load(site.warehouse, site.progress.append, clock=site.clock).failures == []
    site.targets_file.unlink()
    with environment(SOURCES__SCRAPED__TARGETS="some.toml"):
        assert is_configured()


def test_a_warehouse_that_is_open_elsewhere_is_a_clear_message(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    script = f"import duckdb, time; held = duckdb.connect({str(site.warehouse.duckdb_path)!r}); print(flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        asked = site.site.paths()
        with pytest.raises(KpiError, match="open in another process"):
            site.load(force=True)
        assert site.site.paths() == asked
    finally:
        holder.kill()
        holder.communicate()


def command(site: Scraping, *arguments: str) -> subprocess.Popen[str]:
    site_settings = {
        "KPI_DUCKDB_PATH": str(site.warehouse.duckdb_path),
        "SOURCES__SCRAPED__TARGETS": str(site.targets_file),
    }
    with environment(**site_settings):
        return subprocess.Popen(
            [sys.executable, "-m", "pipelines.sources.scraped", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def test_the_command_says_what_failed_and_ends_with_one(site: Scraping) -> None:
    site.figure("css = '#gone'")
    process = command(site)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "scraped: 1 observations" in output
    assert "no_match" in errors


def test_the_command_ends_with_two_for_wrong_settings(site: Scraping) -> None:
    site.targets_file.write_text("[[target]\n", encoding="utf-8")
    process = command(site)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "not valid TOML" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_a_killed_run_is_made_good_by_the_next(site: Scraping, seconds: float) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.clock.instant = dt.datetime.now(dt.UTC)
    process = command(site)
    while "/about" not in site.site.paths():
        time.sleep(0.01)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    again = command(site)
    _, errors = again.communicate(timeout=60)
    assert again.returncode == 0, errors
    assert site.rows("metric_key, state, value") == [("figure", "ok", 1250)]
