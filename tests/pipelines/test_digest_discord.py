"""The digest in a Discord channel: within every limit, once a week, and once however often a run is killed."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_support import Office, office
from digest_support import MONDAY, Figures
from discord_double import BOT_TOKEN, TOKEN, WEBHOOK, DiscordDouble
from hypothesis import given, settings
from hypothesis import strategies as st
from service_double import Asked, Reply

from pipelines.destinations.discord import messages, webhook
from pipelines.destinations.pieces import pieces, utf16_length
from pipelines.digest.wording import Statement, Wording
from pipelines.errors import SettingError

DISCORD = "https://discord.com"
TUESDAY = MONDAY + dt.timedelta(days=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as found:
        yield found


def test_the_channel_says_every_sentence_and_shows_the_picture(desk: Office) -> None:
    desk.sent("discord")
    [message] = desk.discord.messages.values()
    shown = desk.discord.shown()
    for sentence in desk.deliver("text").shown[0].split("\n\n"):
        for part in sentence.split("\n  "):
            assert " ".join(part.split()) in " ".join(shown.split())
    [attachment] = message["attachments"]
    assert attachment["description"].startswith("Line charts of 6 figures")
    [asked] = desk.discord.asked
    assert asked.query == {"wait": "true"}


def test_a_second_run_in_the_week_edits_what_the_first_one_posted(desk: Office) -> None:
    desk.sent("discord")
    [first] = desk.discord.messages
    desk.figures.weeks("serious_users", 777)
    assert "0 posted, 1 edited" in desk.sent("discord", date=TUESDAY, force=True)
    [second] = desk.discord.messages
    assert second == first
    assert "777" in desk.discord.shown()
    desk.sent("discord", date=MONDAY + dt.timedelta(days=7))
    assert len(desk.discord.messages) == 2


def test_only_monday_posts_unless_it_is_forced(desk: Office) -> None:
    assert "no Monday" in desk.sent("discord", "notion", date=TUESDAY)
    assert desk.discord.asked == desk.notion.asked == []
    desk.sent("discord", date=TUESDAY, force=True)
    assert len(desk.discord.messages) == 1


def test_a_dry_run_shows_exactly_what_is_sent_then_and_sends_nothing(desk: Office) -> None:
    shown = "\n".join(desk.deliver("discord", dry=True).shown)
    assert desk.discord.asked == []
    desk.sent("discord")
    [asked] = desk.discord.asked
    assert json.dumps(asked.body, indent=2, ensure_ascii=False) in shown
    assert f"POST {desk.discord.url}/api/v10/webhooks/{WEBHOOK}/…?wait=true" in shown
    assert f"files[0]: trends.png (image/png, {len(asked.files['files[0]=trends.png']):,} bytes)" in shown
    [message_id] = desk.discord.messages
    assert f"PATCH {desk.discord.url}/api/v10/webhooks/{WEBHOOK}/…/messages/{message_id}" in "\n".join(
        desk.deliver("discord", dry=True).shown
    )


def many(count: int) -> Figures:
    figures = Figures()
    for number in range(count):
        figures.metric(f"metric_{number:03d}", name=f"Metric {number:03d} " + "of something " * 6)
        figures.weeks(f"metric_{number:03d}", 1, 2, 3)
    return figures


def test_a_digest_larger_than_a_message_is_several_and_shrinks_with_it(desk: Office) -> None:
    desk.figures = many(90)
    desk.sent("discord")
    assert len(desk.discord.messages) > 2
    shown = desk.discord.shown()
    assert [number for number in range(90) if f"Metric {number:03d} " not in shown] == []
    desk.figures = many(2)
    desk.sent("discord")
    assert len(desk.discord.messages) == 1
    desk.figures = many(90)
    desk.sent("discord")
    assert "Metric 089" in desk.discord.shown()


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.lists(
        st.builds(
            Statement,
            key=st.just("key"),
            title=st.text(max_size=700),
            value=st.text(min_size=1, max_size=3_000).filter(lambda text: bool(text.strip())),
            comparison=st.text(alphabet="\\*_ ab🎉\n", max_size=2_500),
            judgement=st.just("neutral"),
            target=st.text(max_size=50),
            newest=st.just(""),
            restatements=st.just(()),
        ),
        max_size=40,
    )
)
def test_whatever_the_digest_says_is_within_every_limit_and_nothing_is_cut(
    statements: list[Statement],
) -> None:
    digest = messages(
        Wording("Key figures of Nov 23, 2026", "As of now.", tuple(statements)), None, "2026-W48"
    )
    double = DiscordDouble()
    double._server.server_close()
    said = []
    for message in digest:
        asked = Asked("POST", f"/api/v10/webhooks/{WEBHOOK}/{TOKEN}", {"wait": "true"}, {}, message)
        answer = double.reply(asked)
        assert answer.status == 200, answer.body
        said += [
            entry["name"].removesuffix("(continued)") + entry["value"]
            for embed in message["embeds"]
            for entry in embed["fields"]
        ]

    def letters(text: str) -> list[str]:
        return sorted(character for character in text if character not in "\\*…" and not character.isspace())

    wanted = "".join(statement.value + statement.comparison for statement in statements)
    available = letters("".join(said))
    for character in set(letters(wanted)):
        assert available.count(character) >= letters(wanted).count(character)


@given(st.text(alphabet="ab \n\\🎉", max_size=200), st.integers(4, 30))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_pieces_are_short_enough_and_together_the_text(text: str, limit: int) -> None:
    found = pieces(text, limit)
    assert all(0 < utf16_length(piece) <= limit for piece in found)
    assert "".join("".join(found).split()) == "".join(text.split())


def test_names_neither_mention_nor_format(desk: Office) -> None:
    desk.figures = Figures()
    desk.figures.metric("users", name="@everyone <@42> **loud** [a](http://x)")
    desk.figures.weeks("users", 1)
    desk.sent("discord")
    [asked] = desk.discord.asked
    assert asked.body["allowed_mentions"] == {"parse": []}
    name = asked.body["embeds"][0]["fields"][0]["name"]
    assert name == r"@everyone \<@42\> \*\*loud\*\* \[a\](http://x)"


def test_it_waits_as_long_as_discord_says_to_the_fraction(desk: Office) -> None:
    desk.discord.faults = [
        Reply(429, {"message": "You are being rate limited.", "retry_after": 0.317, "global": False}),
        Reply(429, None, {"Retry-After": "3"}),
    ]
    desk.sent("discord")
    assert desk.slept == [0.317, 3.0]
    assert len(desk.discord.messages) == 1


def test_a_wait_of_hours_ends_the_run_and_the_next_one_posts_once(desk: Office) -> None:
    desk.discord.faults = [Reply(429, {"retry_after": 7_200.5})]
    assert "asks to wait 7,200 seconds" in desk.problem("discord")
    assert desk.slept == []
    assert "1 posted" in desk.sent("discord")
    assert len(desk.discord.messages) == 1


def test_a_webhook_that_is_gone_is_never_called_again(desk: Office) -> None:
    desk.sent("discord")
    desk.discord.is_gone = True
    assert "is gone" in desk.problem("discord")
    calls = len(desk.discord.asked)
    assert "is gone" in desk.problem("discord")
    assert "is gone" in str(desk.deliver("discord", dry=True).errors[0])
    assert len(desk.discord.asked) == calls


def test_a_message_that_somebody_deleted_is_posted_again(desk: Office) -> None:
    desk.sent("discord")
    desk.discord.messages.clear()
    assert "1 posted, 0 edited" in desk.sent("discord")
    assert len(desk.discord.messages) == 1


def test_a_wrong_token_is_said_without_showing_it(desk: Office) -> None:
    desk.settings["DESTINATIONS__DISCORD__WEBHOOK_URL"] = f"{desk.discord.url}/api/webhooks/1/wrong-canary"
    said = desk.problem("discord")
    assert "does not accept the webhook" in said
    assert "wrong-canary" not in said


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook-canary",
        "http://chat.example/api/webhooks/1/canary",
        "https://me:pw@chat.example/api/webhooks/1/canary",
        "https://discord.com/api/webhooks/canary/1/2",
        "canary",
    ],
)
def test_an_address_that_is_no_webhook_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(SettingError) as refused:
        webhook(url)
    assert "canary" not in str(refused.value)


def test_a_webhook_of_a_thread_posts_into_the_thread() -> None:
    found = webhook(f"{DISCORD}/api/webhooks/1/abc?thread_id=77")
    assert found.base_url == f"{DISCORD}/api/v10/webhooks/1/abc"
    assert found.path("/messages/5", wait="true") == "/messages/5?wait=true&thread_id=77"


@pytest.mark.parametrize("reads", [True, False], ids=["reads contents", "sees messages only"])
def test_an_answer_that_was_lost_leaves_one_message_where_a_bot_can_look(desk: Office, reads: bool) -> None:
    desk.settings["DESTINATIONS__DISCORD__BOT_TOKEN"] = BOT_TOKEN
    desk.discord.bot_reads_contents = reads
    desk.figures = many(90)
    lose_answer_of_post(desk, number=2)
    assert "no usable answer" in desk.problem("discord")
    assert len(desk.discord.messages) == 2
    assert "part 2: found in the channel" in desk.sent("discord")
    parts = [message["embeds"][-1]["footer"]["text"] for message in desk.discord.messages.values()]
    assert [part.split(" of ")[0] for part in parts] == [
        f"Digest 2026-W48, part {number}" for number in range(1, len(parts) + 1)
    ]


def test_without_a_bot_it_posts_again_and_says_that_it_may_stand_twice(desk: Office) -> None:
    lose_answer_of_post(desk, number=1)
    assert "no usable answer" in desk.problem("discord")
    assert "may stand in the channel twice" in desk.sent("discord")
    assert "twice" not in desk.sent("discord")
    assert len(desk.discord.messages) == 2


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_post_that_failed_is_not_repeated_blindly_and_an_edit_is(desk: Office, status: int) -> None:
    desk.discord.faults = [Reply(status, {})]
    assert "no usable answer" in desk.problem("discord")
    assert len(desk.discord.asked) == 1
    desk.sent("discord")
    desk.discord.faults = [Reply(status, {})]
    assert "0 posted, 1 edited" in desk.sent("discord")


def test_external_channels_get_published_figures_only(desk: Office) -> None:
    desk.settings["DESTINATIONS__DISCORD__EXTERNAL"] = "true"
    desk.sent("discord")
    shown = desk.discord.shown()
    assert "Up 10 (+2.5%) from 400" in shown
    assert not [exact for exact in ("405", "Paid", "412", "1,312") if exact in shown]
    desk.settings["DESTINATIONS__DISCORD__EXTERNAL"] = "perhaps"
    assert "DESTINATIONS__DISCORD__EXTERNAL is 'perhaps'" in desk.problem("discord")


def test_the_next_week_lists_what_was_restated_since_this_one(desk: Office) -> None:
    desk.sent("discord")
    desk.figures.restated(
        "serious_users", "2026-11-09", 405, 399, shown="2026-11-22T05:00Z", changed="2026-11-25T05:00Z"
    )
    desk.figures.restated(
        "serious_users", "2026-10-26", 398, 1, shown="2026-11-09T05:00Z", changed="2026-11-23T05:00Z"
    )
    shown = desk.sent("text", date=MONDAY + dt.timedelta(days=7))
    assert "for Nov 9 - Nov 15 we said 405; it is 399 now" in shown
    assert "Oct 26 - Nov 1 we said 398" not in shown


def lose_answer_of_post(desk: Office, number: int) -> None:
    """Break the connection after a message was posted and before that is answered, once."""
    posts = 0

    def hook(asked: Asked, reply: Reply) -> Reply:
        nonlocal posts
        posts += asked.method == "POST"
        return Reply(None) if asked.method == "POST" and posts == number else reply

    desk.discord.before_answer = hook
