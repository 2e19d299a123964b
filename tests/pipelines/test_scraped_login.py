"""Figures behind a login form."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scraped_support import Scraping, scraping

PASSWORD = "007-secret-passphrase"
TARGET = """
[logins.host]
url = "SITE/login"

[[target]]
metric_key = "plays"
url = "SITE/statistics"
css = "td.plays"
decimal = "."
login = "host"
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Scraping]:
    with scraping(tmp_path) as running:
        running.site.password = PASSWORD
        running.settings = {
            "SOURCES__SCRAPED__LOGINS__HOST__USERNAME": "listener",
            "SOURCES__SCRAPED__LOGINS__HOST__PASSWORD": PASSWORD,
        }
        running.declare(TARGET)
        yield running


def test_a_page_behind_a_form_is_read_with_its_token_and_cookies(site: Scraping) -> None:
    assert site.load().failures == []
    assert site.only() == ("ok", None, 18_204)


def test_one_login_serves_every_target(site: Scraping) -> None:
    site.declare(TARGET + TARGET[TARGET.index("[[target]]") :].replace("plays", "second", 1))
    site.load()
    assert [row[0] for row in site.rows("state")] == ["ok", "ok"]
    assert [request.method for request in site.site.requests].count("POST") == 1


def test_a_wrong_password_is_blocked_and_sent_once(site: Scraping) -> None:
    site.settings["SOURCES__SCRAPED__LOGINS__HOST__PASSWORD"] = "wrong-guess"
    site.declare(TARGET + TARGET[TARGET.index("[[target]]") :].replace("plays", "second", 1))
    report = site.load()
    assert site.rows("metric_key, state, value, substr(reason, 1, 12)") == [
        ("plays", "blocked", None, "login_failed"),
        ("second", "blocked", None, "login_failed"),
    ]
    assert [request.method for request in site.site.requests].count("POST") == 1
    assert len(report.failures) == 2


def test_credentials_are_nowhere(site: Scraping) -> None:
    for password in (PASSWORD, "wrong-guess"):
        site.settings["SOURCES__SCRAPED__LOGINS__HOST__PASSWORD"] = password
        report = site.load(force=True)
        site.assert_nowhere(PASSWORD, "wrong-guess", "listener")
        assert password not in repr(report) + repr(site.progress)


def test_missing_credentials_are_a_failure_that_names_the_setting(site: Scraping) -> None:
    del site.settings["SOURCES__SCRAPED__LOGINS__HOST__PASSWORD"]
    [failure] = site.load().failures
    assert "SOURCES__SCRAPED__LOGINS__HOST__PASSWORD" in failure
    assert site.rows() == []
    assert site.site.paths() == []


def test_a_session_that_is_not_kept_is_blocked(site: Scraping) -> None:
    site.site.inject("/statistics", status=302, headers={"Location": "/login"})
    site.load()
    assert site.only() == ("blocked", "login_failed", None)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ("<p>We moved</p>", "login_form_missing"),
        ("<form><input type=password name=p></form>" * 2, "login_form_missing"),
        ("<form><input name=u><input type=password name=p></form>", "login_form_unsupported"),
        ("<form method=post><input type=password name=p></form>", "login_form_unsupported"),
        (
            "<form method=post action='http://evil.example/'><input name=u><input type=password name=p></form>",
            "login_elsewhere",
        ),
        (
            "<form method=post enctype='multipart/form-data'><input name=u><input type=password name=p></form>",
            "login_form_unsupported",
        ),
    ],
)
def test_a_form_that_is_not_safe_or_not_plain_is_not_filled_in(site: Scraping, form: str, code: str) -> None:
    site.site.inject("/login", f"<!doctype html>{form}")
    site.load()
    assert site.rows("substr(reason, 1, instr(reason, ':') - 1), value") == [(code, None)]
    assert "POST" not in [request.method for request in site.site.requests]


def test_a_password_is_not_passed_on_to_another_host(site: Scraping) -> None:
    with scraping(site.folder / "other") as other:
        page = (
            "<!doctype html><form method=post action='/go'><input name=u><input type=password name=p></form>"
        )
        site.site.inject("/login", page)
        site.site.inject("/go", status=307, headers={"Location": f"{other.site.url}/login"})
        site.load()
        assert other.site.requests == []
    assert site.only() == ("blocked", "login_elsewhere", None)
