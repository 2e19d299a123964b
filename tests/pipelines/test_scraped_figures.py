"""What lands in raw_scraped.observations for each kind of target."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scraped_support import START, Scraping, scraping


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Scraping]:
    with scraping(tmp_path) as running:
        yield running


FIGURES = [
    ("/about", """css = "#subscribers"\ndecimal = '.'""", 1250),
    ("/about", """css = "meta[name=subscribers]"\nattribute = "content\"""", 1250),
    ("/about", 'css = "meta[name=subscribers]::attr(content)"', 1250),
    ("/about", "css = 'p'\ndecimal = '.'", 1250),
    ("/about", "css = 'p'\npattern = 'by ([0-9,]+) people'\ndecimal = '.'", 1250),
    ("/about", "xpath = '//meta/@content'", 1250),
    ("/about", "xpath = 'count(//li)'", 7),
    ("/about", "regex = 'content=\"([0-9]+)\"'", 1250),
    ("/about", "css = 'li.issue'\ncount = true", 7),
    ("/about", "regex = 'An issue'\ncount = true", 7),
    ("/about", "css = '#nothing'\ncount = true\nzero_ok = true", 0),
    ("/data.json", "json = '$.data.total'", 1250),
    ("/data.json", "json = '$.data.items[*]'\ncount = true", 3),
    ("/feed.xml", "feed = true", 24),
    ("/atom.xml", "feed = true", 24),
    (None, 'github = "acme/reader"\nfigure = "stars"', 412),
    (None, 'github = "acme/reader"\nfigure = "forks"', 37),
    (None, 'pypi = "acme-reader"\nfigure = "last_month"', 159_300),
    (None, 'npm = "@acme/reader"\nfigure = "last_week"', 37_170),
    (None, 'npm = "acme-reader"\nfigure = "last_day"', 5_310),
    (None, 'discord = "acme"\nfigure = "members"', 268),
    (None, 'discord = "1234"\nfigure = "widget_online"', 41),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Any, ...]]]:
    """What one run over all of these gave: state, reason and value of each target."""
    with scraping(tmp_path_factory.mktemp("figures")) as site:
        tables = []
        for number, (path, lines, _) in enumerate(FIGURES):
            address = 'base_url = "SITE"' if path is None else f'url = "SITE{path}"'
            tables.append(f'[[target]]\nmetric_key = "case_{number}"\n{address}\n{lines}')
        site.declare("\n".join(tables))
        site.load()
        yield {key: tuple(rest) for key, *rest in site.rows("metric_key, state, reason, value")}


@pytest.mark.parametrize("number", range(len(FIGURES)))
def test_a_figure_is_read_by_the_declared_extractor(rows: dict[str, tuple[Any, ...]], number: int) -> None:
    assert rows[f"case_{number}"] == ("ok", None, Decimal(FIGURES[number][2]))


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
