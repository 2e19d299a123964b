"""A page that gives no number, or one that cannot be right, never becomes a value."""

import gzip
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scraped_support import Scraping, scraping

CANARY = "canary-3f9a-from-the-page"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Scraping]:
    with scraping(tmp_path) as running:
        yield running


PAGE = "<!doctype html><p id=n>{}</p>"
PASSWORD_FORM = "<!doctype html><p id=n>12</p><form><input type='password' name='p'></form>"
JSON = {"content_type": "application/json"}
FEED = {"content_type": "application/rss+xml"}


CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("css = '#n'", {"status": 404}, "broken", "not_found"),
    ("css = '#n'", {"status": 410}, "broken", "not_found"),
    ("css = '#n'", {"status": 400}, "broken", "client_error"),
    ("css = '#n'", {"status": 500}, "broken", "bad_status"),
    ("css = '#n'", {"status": 304}, "broken", "bad_status"),
    ("css = '#n'", {"status": 401}, "blocked", "unauthorized"),
    ("css = '#n'", {"status": 403}, "blocked", "unauthorized"),
    ("css = '#n'", {"status": 302, "headers": {"Location": "ftp://host/x"}}, "broken", "bad_redirect"),
    ("css = '#n'", {"status": 302, "headers": {"Location": "/loop"}}, "broken", "bad_redirect"),
    ("css = '#n'", {"status": 302, "headers": {"Location": "/login"}}, "blocked", "login_required"),
    ("css = '#n'", {"body": " "}, "broken", "empty_page"),
    ("css = '#n'", {"body": "<!doctype html>Other"}, "broken", "no_match"),
    ("css = '#n'", {"body": PAGE.format("no figure")}, "broken", "no_number"),
    ("css = '#n'", {"body": PAGE.format("5 of 9")}, "broken", "several_numbers"),
    ("css = '#n'", {"body": PAGE.format("1,234")}, "broken", "ambiguous_number"),
    ("css = '#n'", {"body": PAGE.format("12.3k")}, "broken", "inexact_number"),
    ("css = '#n'", {"body": PAGE.format("1") + PAGE.format("2")}, "broken", "several_matches"),
    ("css = '#n'", {"body": PAGE.format("9" * 40)}, "broken", "number_out_of_range"),
    ("css = '#n'", {"body": PASSWORD_FORM}, "blocked", "login_required"),
    ("css = 'li'\ncount = true", {"body": PAGE.format("0")}, "broken", "no_match"),
    ("xpath = 'count(//li)'", {"body": PAGE.format("0")}, "broken", "no_match"),
    ("regex = 'total: ([0-9]+)'", {"body": PAGE.format("0")}, "broken", "no_match"),
    ("json = '$.total'", {"body": "<!doctype html>Hello", **JSON}, "broken", "not_json"),
    ("json = '$.total'", {"body": '{"sum": 3}', **JSON}, "broken", "no_match"),
    ("json = '$.total'", {"body": '{"total": null}', **JSON}, "broken", "no_number"),
    ("json = '$.total'", {"body": '{"total": true}', **JSON}, "broken", "no_number"),
    ("json = '$.total'", {"body": '{"total": NaN}', **JSON}, "broken", "number_out_of_range"),
    ("json = '$.total'", {"body": '{"total": {}}', **JSON}, "broken", "no_number"),
    ("json = '$.total'", {"body": '{"total": 1', **JSON}, "broken", "not_json"),
    ("feed = true", {"body": "<rss><channel/></rss>", **FEED}, "broken", "no_match"),
    ("feed = true", {"body": "<rss><channel><item/>", **FEED}, "broken", "not_a_feed"),
    ("feed = true", {"body": "<html><body>Gone</body></html>"}, "broken", "not_a_feed"),
    ("css = '#n'\nmin = 6", {"body": PAGE.format("5")}, "suspect", "below_minimum"),
    ("css = '#n'\nmax = 4", {"body": PAGE.format("5")}, "suspect", "above_maximum"),
]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[Any, ...]]]:
    """What one run over all the cases gave: state, code, value and the failure shown, for each target."""
    with scraping(tmp_path_factory.mktemp("states")) as site:
        tables = []
        for number, (extractor, answer, _, _) in enumerate(CASES):
            site.site.inject(f"/page{number}", **answer)
            head = f'[[target]]\nmetric_key = "case_{number}"\nurl = "SITE/page{number}"'
            tables.append(f"{head}\n{extractor}")
        site.site.inject("/loop", status=302, headers={"Location": "/loop"})
        site.declare("\n".join(tables))
        failures = site.load().failures
        yield {
            key: (
                state,
                reason.partition(":")[0],
                value,
                [line for line in failures if line.startswith(f"{key} ")],
            )
            for key, state, reason, value in site.rows("metric_key, state, reason, value")
        }


@pytest.mark.parametrize("number", range(len(CASES)))
def test_no_figure_is_a_state_with_a_reason_and_never_a_zero(
    outcomes: dict[str, tuple[Any, ...]], number: int
) -> None:
    _, _, expected_state, expected_code = CASES[number]
    state, code, value, failures = outcomes[f"case_{number}"]
    assert (state, code, value) == (expected_state, expected_code, None)
    assert len(failures) == 1
    assert code in failures[0]


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        ({"body": PAGE.format("5"), "delay": 0.8}, "broken", "timeout"),
        ({"status": 429}, "blocked", "rate_limited"),
    ],
)
def test_a_host_that_cannot_cope_gives_no_figure(
    site: Scraping, answer: dict[str, Any], state: str, code: str
) -> None:
    site.site.inject("/page", **answer)
    site.figure("css = '#n'", url="SITE/page")
    site.load()
    assert site.only() == (state, code, None)


def test_a_host_that_is_not_there_is_a_broken_observation(site: Scraping) -> None:
    site.figure("css = '#n'", url="http://127.0.0.1:1/page")
    site.load()
    assert site.only() == ("broken", "unreachable", None)


def test_an_answer_that_never_ends_is_cut_off(site: Scraping) -> None:
    site.site.inject("/page", b"9" * (11 * 1024 * 1024))
    site.figure("css = '#n'", url="SITE/page")
    site.load()
    assert site.only() == ("broken", "too_large", None)


def test_an_answer_that_breaks_off_is_no_page(site: Scraping) -> None:
    site.site.inject("/page", PAGE.format("12"), headers={"Content-Length": "4000"})
    site.figure("css = '#n'", url="SITE/page")
    site.load()
    assert site.only() == ("broken", "unreachable", None)


def test_half_a_packed_page_is_no_page(site: Scraping) -> None:
    whole = gzip.compress(PAGE.format("12").encode())
    site.site.inject("/page", whole, headers={"Content-Encoding": "gzip"})
    site.figure("css = '#n'", url="SITE/page")
    site.load()
    site.site.inject("/page", whole[:-9], headers={"Content-Encoding": "gzip"})
    site.load(force=True)
    assert site.rows("state, value") == [("ok", 12), ("broken", None)]


def test_a_bad_target_stops_no_good_one(site: Scraping) -> None:
    site.declare(
        """
        [[target]]
        metric_key = "gone"
        url = "SITE/gone"
        css = "b"
        [[target]]
        metric_key = "typo"
        url = "SITE/about"
        ccs = "b"
        [[target]]
        metric_key = "good"
        url = "SITE/about"
        css = "#subscribers"
        decimal = "."
        """
    )
    report = site.load()
    assert site.rows("metric_key, state") == [("gone", "broken"), ("good", "ok")]
    assert len(report.failures) == 2
    assert "scraped.toml, target typo" in report.failures[0]


def test_a_figure_that_falls_is_suspect_and_not_stored(site: Scraping) -> None:
    site.figure("json = '$.data.total'", "never_falls = true", url="SITE/data.json")
    for figure in (1000, 999, 1001):
        site.site.figures["subscribers"] = figure
        site.load(force=True)
        site.clock.pass_by(days=1)
    assert site.rows("state, value") == [("ok", 1000), ("suspect", None), ("ok", 1001)]


def test_a_tolerance_lets_a_figure_fall_a_little(site: Scraping) -> None:
    site.figure("json = '$.data.total'", "never_falls = true", "tolerance = 0.01", url="SITE/data.json")
    for figure in (1000, 990, 900):
        site.site.figures["subscribers"] = figure
        site.load(force=True)
        site.clock.pass_by(days=1)
    assert site.rows("state, value") == [("ok", 1000), ("ok", 990), ("suspect", None)]


def test_a_wrong_high_value_can_be_left_behind(site: Scraping) -> None:
    site.figure("json = '$.data.total'", "never_falls = true", url="SITE/data.json")
    site.site.figures["subscribers"] = 99_999
    site.load()
    site.clock.pass_by(days=1)
    site.site.figures["subscribers"] = 1000
    site.load()
    site.figure(
        "json = '$.data.total'", "never_falls = true", "compare_from = 2026-03-03", url="SITE/data.json"
    )
    site.load()
    assert site.rows("state, value") == [("ok", 99_999), ("suspect", None), ("ok", 1000)]


def test_nothing_that_a_page_says_lands_beside_its_figure(site: Scraping) -> None:
    site.site.inject(
        "/page", f"<!doctype html><title>{CANARY}</title><b>{CANARY} 5 of 9</b><i>{CANARY} 12</i>"
    )
    site.declare(
        """
        [[target]]
        metric_key = "one"
        url = "SITE/page"
        css = "b"
        [[target]]
        metric_key = "two"
        url = "SITE/page?key=address-canary"
        css = "i"
        pattern = "[0-9]+$"
        """
    )
    report = site.load()
    assert site.rows("state, value") == [("broken", None), ("ok", Decimal(12))]
    site.assert_nowhere(CANARY, "address-canary")
    assert CANARY not in repr(report)
    assert "address-canary" not in repr(report) + repr(site.progress)
