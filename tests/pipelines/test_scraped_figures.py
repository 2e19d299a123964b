"""What lands in raw_scraped.observations for each kind of target."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from scraped_support import START, Scraping, scraping


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Scraping]:
    with scraping(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("extractor", "more", "value"),
    [
        ('css = "#subscribers"', ["decimal = '.'"], 1250),
        ('css = "meta[name=subscribers]"', ['attribute = "content"'], 1250),
        ('css = "meta[name=subscribers]::attr(content)"', [], 1250),
        ('css = "p"', ["decimal = '.'"], 1250),
        ("css = 'p'", ["pattern = 'by ([0-9,]+) people'", "decimal = '.'"], 1250),
        ("xpath = '//meta/@content'", [], 1250),
        ("xpath = 'count(//li)'", [], 7),
        ("regex = 'content=\"([0-9]+)\"'", [], 1250),
        ("css = 'li.issue'", ["count = true"], 7),
        ("regex = 'An issue'", ["count = true"], 7),
        ("css = '#nothing'", ["count = true", "zero_ok = true"], 0),
    ],
)
def test_a_figure_on_a_page_is_read_by_the_declared_extractor(
    site: Scraping, extractor: str, more: list[str], value: int
) -> None:
    site.figure(extractor, *more)
    report = site.load()
    assert site.only() == ("ok", None, Decimal(value))
    assert (report.failures, report.rows) == ([], {"observations": 1})


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ('github = "acme/reader"\nfigure = "stars"', 412),
        ('github = "acme/reader"\nfigure = "forks"', 37),
        ('pypi = "acme-reader"\nfigure = "last_month"', 159_300),
        ('npm = "@acme/reader"\nfigure = "last_week"', 37_170),
        ('discord = "acme"\nfigure = "members"', 268),
        ('discord = "1234"\nfigure = "widget_online"', 41),
    ],
)
def test_official_apis_need_only_a_name_and_a_figure(site: Scraping, lines: str, value: int) -> None:
    site.declare(f'[[target]]\nmetric_key = "figure"\nbase_url = "SITE"\n{lines}')
    assert site.load().failures == []
    assert site.only() == ("ok", None, Decimal(value))


@pytest.mark.parametrize("path", ["/feed.xml", "/atom.xml"])
def test_the_entries_of_a_feed_are_counted(site: Scraping, path: str) -> None:
    site.figure("feed = true", url=f"SITE{path}")
    site.load()
    assert site.only() == ("ok", None, Decimal(24))


def test_json_numbers_are_exact(site: Scraping) -> None:
    site.site.inject(
        "/exact.json", '{"data": {"total": 12345678901234567890.123456789}}', content_type="application/json"
    )
    site.figure("json = '$.data.total'", url="SITE/exact.json")
    site.load()
    assert site.only() == ("ok", None, Decimal("12345678901234567890.123456789"))


def test_a_row_says_when_where_and_by_what_it_was_read(site: Scraping) -> None:
    site.figure("json = '$.data.total'", url="SITE/data.json?token=canary-in-address")
    site.load()
    columns = "metric_key, url_host, observed_at, http_status, length(page_hash), length(extractor_version)"
    host = site.site.url.removeprefix("http://")
    [(key, stored_host, observed_at, *rest)] = site.rows(columns)
    assert (key, stored_host, rest) == ("figure", host, [200, 64, 12])
    assert (observed_at - START).total_seconds() == 1  # robots.txt first
    assert site.rows("_dlt_load_id is null, parsed_at is null, loaded_at is null") == [(False,) * 3]
