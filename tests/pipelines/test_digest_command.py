"""`kpi digest` as people touch it: killed in the middle, without settings, with wrong ones, and never telling a secret."""

import datetime as dt
import os
import signal
from collections.abc import Iterator

import pytest
from command_support import TODAY, House
from delivery_support import SECRETS, Office, office
from service_double import Asked, Reply

LAST_MONDAY = (TODAY - dt.timedelta(days=TODAY.weekday())).isoformat()


@pytest.fixture
def desk(house: House) -> Iterator[Office]:
    with office(house.folder) as found:
        found.figures.write(house.file)
        house.settings |= found.settings | {"NO_PROXY": "127.0.0.1"}
        yield found


def test_a_run_killed_between_sending_and_saving_is_mended_by_the_next(house: House, desk: Office) -> None:
    house.settings["DESTINATIONS__DISCORD__BOT_TOKEN"] = SECRETS[0]
    process = house.start("digest", "--date", LAST_MONDAY)

    def kill(asked: Asked, reply: Reply) -> Reply:
        if asked.method == "POST":
            os.kill(process.pid, signal.SIGKILL)
        return reply

    desk.discord.before_answer = kill
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    desk.discord.before_answer = lambda _asked, reply: reply
    assert len(desk.discord.messages) == 1
    posts = 0

    def kill_later(asked: Asked, reply: Reply) -> Reply:
        nonlocal posts
        posts += asked.path == "/v1/pages"
        if posts == 3:
            os.kill(process.pid, signal.SIGKILL)
        return reply

    desk.notion.before_answer = kill_later
    process = house.start("digest", "--date", LAST_MONDAY)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    desk.notion.before_answer = lambda _asked, reply: reply
    done = house.kpi("digest", "--date", LAST_MONDAY)
    done.is_well("discord: 0 posted, 1 edited", "notion: 4 pages created")
    assert len(desk.discord.messages) == 1
    assert len(desk.notion.live()) == 7


def test_no_secret_is_shown_whatever_happens(house: House, desk: Office) -> None:
    shown = house.kpi("digest", "--date", LAST_MONDAY, "--dry-run").text
    with desk.discord, desk.notion:
        pass
    failed = house.kpi(
        "digest", "--date", LAST_MONDAY, RUNTIME__LOG_LEVEL="DEBUG", DIGEST__PATIENCE_SECONDS="2"
    )
    assert "Notion: no connection, trying again in 1.0 s" in failed.complained
    failed.fails_with(1, "Discord gave no usable answer", "Notion gave no usable answer")
    assert not [secret for secret in SECRETS if secret in shown + failed.text]
    for path in house.folder.rglob("*"):
        assert not path.is_file() or not [
            secret for secret in SECRETS if secret.encode() in path.read_bytes()
        ]


def test_a_page_is_written_whole_and_a_second_run_writes_the_same(house: House, desk: Office) -> None:
    house.kpi("digest", "--date", LAST_MONDAY, "--to", "html,text").is_well(
        "North Star: Serious active users"
    )
    [page] = (house.folder / "digests").iterdir()
    first = page.read_bytes()
    assert page.name == f"digest-{LAST_MONDAY}.html"
    assert b"data:image/png;base64," in first
    house.kpi("digest", "--date", LAST_MONDAY, "--to", "html").is_well(str(page))
    assert page.read_bytes() == first


def test_wrong_usage_is_said(house: House, desk: Office) -> None:
    ahead = (TODAY + dt.timedelta(days=2)).isoformat()
    house.kpi("digest", "--date", ahead).fails_with(2, "lies ahead")
    house.kpi("digest", "--to", "telegram").fails_with(2, "telegram is none of discord, notion, html, text")
    house.kpi("digest", "--to", "text", DIGEST__COMPARE_DAYS="10").fails_with(
        2, "DIGEST__COMPARE_DAYS is '10'"
    )
    house.kpi("digest", "--to", "text", DIGEST__PATIENCE_SECONDS="-1").fails_with(
        2, "DIGEST__PATIENCE_SECONDS is '-1'"
    )
    bare = House(house.folder / "bare")
    bare.folder.mkdir()
    bare.kpi("digest").fails_with(1, "The catalogue holds no metric", "kpi build")
    bare.kpi("digest", "--to", "discord", "--force").fails_with(2, "Discord is not configured")


def test_one_service_out_of_reach_does_not_keep_the_other_from_its_digest(house: House, desk: Office) -> None:
    desk.discord.is_gone = True
    house.kpi("digest", "--date", LAST_MONDAY).fails_with(1, "is gone; it is not called any more")
    assert len(desk.notion.live()) == 7
