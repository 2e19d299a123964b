"""How hosts are asked: who asks, how often, and what they say about it."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from scraped_support import START, Scraping, scraping

from pipelines.errors import SettingError


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Scraping]:
    with scraping(tmp_path) as running:
        yield running


def declare_three(site: Scraping) -> None:
    """Three targets on one host."""
    tables = [
        f'[[target]]\nmetric_key = "t{n}"\nurl = "SITE/about?{n}"\ncss = "#subscribers"\ndecimal = "."'
        for n in range(3)
    ]
    site.declare("\n".join(tables))


def test_a_host_is_asked_once_a_second_and_for_its_robots_txt_once(site: Scraping) -> None:
    declare_three(site)
    site.load()
    assert site.site.paths() == ["/robots.txt", "/about", "/about", "/about"]
    instants = [request.at for request in site.site.requests]
    assert [(later - sooner).total_seconds() for sooner, later in itertools.pairwise(instants)] == [1, 1, 1]


def test_a_longer_crawl_delay_is_kept(site: Scraping) -> None:
    site.site.robots = "User-agent: *\nCrawl-delay: 7\n"
    declare_three(site)
    site.load()
    assert site.clock.slept == [7, 7, 7]


def test_the_user_agent_names_the_project_and_the_contact(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    notes = site.load().notes
    assert any("SOURCES__SCRAPED__CONTACT" in note for note in notes)
    site.settings["SOURCES__SCRAPED__CONTACT"] = "data@acme.example"
    assert site.load(force=True).notes == []
    agents = [request.headers["User-Agent"] for request in site.site.requests]
    assert agents[0] == "kpi-warehouse/1"
    assert agents[-1] == "kpi-warehouse/1 (+data@acme.example)"


def test_a_contact_that_would_break_the_header_is_refused(site: Scraping) -> None:
    site.figure("css = '#subscribers'")
    site.settings["SOURCES__SCRAPED__CONTACT"] = "a\nX-Evil: 1"
    with pytest.raises(SettingError, match="SOURCES__SCRAPED__CONTACT"):
        site.load()


@pytest.mark.parametrize(
    "robots", ["User-agent: *\nDisallow: /about\n", "User-agent: kpi-warehouse\nDisallow: /\n"]
)
def test_what_robots_txt_disallows_is_not_asked_for(site: Scraping, robots: str) -> None:
    site.site.robots = robots
    site.figure("css = '#subscribers'")
    site.load()
    assert site.site.paths() == ["/robots.txt"]
    assert site.only() == ("blocked", "robots_disallowed", None)


def test_a_redirect_is_asked_of_robots_txt_too(site: Scraping) -> None:
    site.site.inject("/about", status=301, headers={"Location": "/private/about"})
    site.figure("css = '#subscribers'")
    site.load()
    assert site.site.paths() == ["/robots.txt", "/about"]
    assert site.only() == ("blocked", "robots_disallowed", None)


def test_a_missing_robots_txt_allows_and_a_failing_one_does_not(site: Scraping) -> None:
    site.site.robots = None
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    site.site.inject("/robots.txt", status=503)
    site.load(force=True)
    assert [row[0] for row in site.rows("state")] == ["ok", "blocked"]
    assert site.rows("reason")[1][0].startswith("robots_unavailable")
    assert site.site.paths().count("/about") == 1


def test_an_official_api_is_not_asked_for_robots_txt(site: Scraping) -> None:
    site.declare('[[target]]\nmetric_key="stars"\ngithub="acme/reader"\nfigure="stars"\nbase_url="SITE"')
    site.load()
    assert site.site.paths() == ["/repos/acme/reader"]


def test_an_unchanged_page_is_not_sent_again_and_still_observed(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    for _ in range(3):
        site.load(force=True)
        site.clock.pass_by(days=1)
    assert site.rows("http_status, value") == [(200, 1250), (304, 1250), (304, 1250)]
    site.site.figures["subscribers"] = 1300
    site.load(force=True)
    assert site.rows("http_status, value")[-1] == (200, 1300)


def test_another_address_is_not_asked_with_the_old_one_s_validators(site: Scraping) -> None:
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    site.figure("css = '#subscribers'", "decimal = '.'", url="SITE/about?other")
    site.load(force=True)
    assert site.rows("http_status") == [(200,), (200,)]


def test_retry_after_is_kept_and_the_run_goes_on(site: Scraping) -> None:
    site.site.inject("/about", status=429, headers={"Retry-After": "17"}, times=1)
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    assert site.only() == ("ok", None, 1250)
    first, second = [request.at for request in site.site.requests if request.path == "/about"]
    assert (second - first).total_seconds() == 17


def test_a_date_in_retry_after_is_kept(site: Scraping) -> None:
    after = START.replace(minute=0, second=31).strftime("%a, %d %b %Y %H:%M:%S GMT")
    site.site.inject("/about", status=503, headers={"Retry-After": after}, times=1)
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    assert site.only() == ("ok", None, 1250)
    assert site.site.requests[-1].at == START.replace(second=31)


def test_a_host_that_asks_for_an_hour_of_rest_is_left_alone_for_the_run(site: Scraping) -> None:
    site.site.inject("/about", status=429, headers={"Retry-After": "3600"})
    declare_three(site)
    site.load()
    assert site.site.paths() == ["/robots.txt", "/about"]
    assert set(site.rows("state, http_status")) == {("blocked", 429), ("blocked", None)}


def test_a_dead_host_is_tried_three_times_and_not_for_each_target(site: Scraping) -> None:
    site.site.inject("/robots.txt", delay=0.7)
    declare_three(site)
    site.load()
    assert site.site.paths() == ["/robots.txt"] * 3
    assert set(site.rows("state, substr(reason, 1, 7)")) == {("broken", "timeout")}


def test_failing_answers_are_tried_three_times_with_growing_pauses(site: Scraping) -> None:
    site.site.inject("/about", status=500, times=2)
    site.figure("css = '#subscribers'", "decimal = '.'")
    site.load()
    assert site.only() == ("ok", None, 1250)
    assert site.site.paths().count("/about") == 3
