"""The digest in a Notion database: one page a metric, within every limit, one however often a run is killed."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_support import Office, office
from digest_support import MONDAY, Figures
from notion_double import OTHER_SOURCE, SOURCE, plain
from service_double import Asked, Reply


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as found:
        yield found


def test_each_metric_is_one_page_that_says_every_sentence(desk: Office) -> None:
    assert "7 pages created" in desk.sent("notion")
    shown = " ".join(desk.notion.shown().split())
    for block in desk.deliver("text").shown[0].split("\n\n")[1:]:
        for sentence in block.split("\n  "):
            assert " ".join(sentence.split()) in shown
    star = desk.notion.live()["serious_users"]
    assert plain(star["Figure"]) == "North Star: Serious active users"
    assert star["Value"] == {"number": 405.0}
    assert star["Period"]["date"] == {"start": "2026-11-09", "end": "2026-11-15"}
    assert star["State"]["select"]["name"] == "provisional"
    assert desk.notion.live()["stars"]["State"]["select"]["name"] == "broken"
    assert desk.notion.live()["never_loaded"]["Value"] == {"number": None}


def test_the_next_weeks_update_the_same_pages_and_use_no_block(desk: Office) -> None:
    desk.sent("notion")
    left = desk.notion.blocks_left
    desk.figures.week("serious_users", "2026-11-16", 450)
    assert "0 pages created" in desk.sent("notion", date=MONDAY + dt.timedelta(days=7))
    assert desk.notion.live()["serious_users"]["Value"] == {"number": 450.0}
    assert desk.notion.blocks_left == left == 1_000 - 7


def test_a_second_run_writes_nothing(desk: Office) -> None:
    desk.sent("notion")
    before = len(desk.notion.asked)
    assert "0 pages created, 0 updated" in desk.sent("notion")
    assert all(asked.method == "GET" or asked.path.endswith("/query") for asked in desk.notion.asked[before:])


def test_a_dry_run_shows_exactly_what_is_written_then_and_writes_nothing(desk: Office) -> None:
    shown = "\n".join(desk.deliver("notion", dry=True).shown)
    assert {asked.method for asked in desk.notion.asked} == {"GET"}
    desk.sent("notion")
    written = [
        asked
        for asked in desk.notion.asked
        if asked.method in {"POST", "PATCH"} and not asked.path.endswith("/query")
    ]
    assert len(written) == 8
    assert f"would send {len(written)}" in shown
    for asked in written:
        body = json.dumps(asked.body, indent=2, ensure_ascii=False)
        assert f"{asked.method} {desk.notion.url}{asked.path}\n{body}" in shown


def test_more_metrics_than_a_page_of_answers_are_all_found_again(desk: Office) -> None:
    desk.figures = Figures()
    for number in range(120):
        desk.figures.metric(f"metric_{number}")
        desk.figures.weeks(f"metric_{number}", number)
    desk.sent("notion")
    (desk.folder / ".kpi" / "warehouse" / "digest" / "notion.json").unlink()
    assert "0 pages created, 0 updated" in desk.sent("notion")
    assert len(desk.notion.live()) == 120


@pytest.mark.parametrize("lost", [1, 4, 7])
def test_an_answer_that_was_lost_leaves_one_page(desk: Office, lost: int) -> None:
    posts = 0

    def hook(asked: Asked, reply: Reply) -> Reply:
        nonlocal posts
        posts += asked.path == "/v1/pages"
        return Reply(None) if asked.path == "/v1/pages" and posts == lost else reply

    desk.notion.before_answer = hook
    assert "1 pages in Notion failed" in desk.problem("notion")
    assert "0 pages created" in desk.sent("notion")
    assert len(desk.notion.live()) == 7


def test_a_page_that_queries_do_not_find_yet_is_known_by_its_id(desk: Office) -> None:
    desk.sent("notion")
    desk.notion.is_indexed = False
    assert "0 pages created, 0 updated" in desk.sent("notion")
    assert len(desk.notion.live()) == 7


def test_of_two_pages_of_one_key_the_younger_goes_to_the_trash(desk: Office) -> None:
    desk.sent("notion")
    desk.notion.is_indexed = False
    (desk.folder / ".kpi" / "warehouse" / "digest" / "notion.json").unlink()
    desk.sent("notion")
    desk.notion.is_indexed = True
    desk.sent("notion")
    assert len(desk.notion.live()) == 7
    assert [page["in_trash"] for page in desk.notion.pages.values()] == [False] * 7 + [True] * 7


def test_a_page_in_the_trash_is_made_anew_and_notes_of_people_stay(desk: Office) -> None:
    desk.sent("notion")
    first, second, *_ = desk.notion.pages.values()
    first["in_trash"] = True
    second["properties"]["Our notes"] = {"rich_text": [{"text": {"content": "ask Ana"}}]}
    assert "1 pages created" in desk.sent("notion")
    assert plain(second["properties"]["Our notes"]) == "ask Ana"
    assert len(desk.notion.live()) == 7


def test_what_may_not_be_shown_any_more_is_not_left_standing(desk: Office) -> None:
    desk.sent("notion")
    desk.settings["DESTINATIONS__NOTION__EXTERNAL"] = "true"
    desk.sent("notion")
    assert not [exact for exact in ("405", "795", "1,312", "89.") if exact in str(desk.notion.live())]
    gone = desk.notion.live()["paid_amount:eur"]
    assert gone["State"]["select"]["name"] == "not in the digest"
    assert gone["Value"] == {"number": None}
    del desk.settings["DESTINATIONS__NOTION__EXTERNAL"]
    desk.sent("notion")
    assert desk.notion.live()["paid_amount:eur"]["Value"] == {"number": 795.15}


def test_a_workspace_without_blocks_left_still_gets_its_updates(desk: Office) -> None:
    desk.notion.blocks_left = 3
    said = desk.problem("notion")
    assert "4 pages in Notion failed" in said
    assert "block limit" in said
    desk.figures.weeks("serious_users", 777)
    desk.problem("notion")
    assert desk.notion.live()["serious_users"]["Value"] == {"number": 777.0}


def test_a_text_longer_than_one_may_be_is_sent_in_pieces_and_whole(desk: Office) -> None:
    name = "A very long name, " + "really 🎉 " * 700
    desk.figures = Figures()
    desk.figures.metric("users", name=name)
    desk.figures.weeks("users", 1)
    desk.sent("notion")
    assert plain(desk.notion.live()["users"]["Figure"]) == name


@pytest.mark.parametrize("status", [429, 529])
def test_it_waits_as_long_as_notion_says(desk: Office, status: int) -> None:
    desk.notion.faults = [Reply(status, {"code": "rate_limited"}, {"Retry-After": "2"})]
    desk.sent("notion")
    assert desk.slept == [2.0]


def test_a_database_of_several_data_sources_asks_for_one(desk: Office) -> None:
    desk.notion.sources[OTHER_SOURCE] = {"Name": "title"}
    assert "DESTINATIONS__NOTION__DATA_SOURCE_ID" in desk.problem("notion")
    desk.settings["DESTINATIONS__NOTION__DATA_SOURCE_ID"] = OTHER_SOURCE
    desk.sent("notion")
    assert len(desk.notion.live(OTHER_SOURCE)) == 7
    assert desk.notion.live(SOURCE) == {}


def test_a_column_of_another_type_is_named(desk: Office) -> None:
    desk.notion.sources[SOURCE]["Value"] = "rich_text"
    assert "column 'Value' of the Notion database is of type rich_text, not number" in desk.problem("notion")


def test_a_wrong_token_and_a_database_out_of_reach_are_told_apart(desk: Office) -> None:
    desk.settings["DESTINATIONS__NOTION__DATABASE_ID"] = "another"
    assert "does not show the database" in desk.problem("notion")
    desk.settings["DESTINATIONS__NOTION__TOKEN"] = "wrong-canary"
    said = desk.problem("notion")
    assert "does not accept the token" in said
    assert "wrong-canary" not in said


def test_the_token_goes_to_no_plain_address(desk: Office) -> None:
    desk.settings["DESTINATIONS__NOTION__BASE_URL"] = "http://api.notion.example"
    assert "is no https address" in desk.problem("notion")


def test_the_history_grows_by_a_page_a_metric_and_week_where_it_is_wanted(desk: Office) -> None:
    desk.notion.sources[OTHER_SOURCE] = {"Name": "title"}
    desk.settings["DESTINATIONS__NOTION__DATA_SOURCE_ID"] = SOURCE
    desk.settings["DESTINATIONS__NOTION__HISTORY_DATA_SOURCE_ID"] = OTHER_SOURCE
    desk.sent("notion")
    desk.sent("notion")
    desk.sent("notion", date=MONDAY + dt.timedelta(days=7))
    desk.sent("notion", date=MONDAY + dt.timedelta(days=7))
    assert len(desk.notion.live(SOURCE)) == 7
    history = desk.notion.live(OTHER_SOURCE)
    assert len(history) == 14
    assert {"serious_users@2026-W48", "serious_users@2026-W49"} <= history.keys()
    assert all(page["State"]["select"]["name"] != "not in the digest" for page in history.values())
