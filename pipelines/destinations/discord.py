"""A digest in a Discord channel, by an incoming webhook.

One week's digest is one message, or several numbered ones where it is larger than the limits. Their ids are kept,
and a second run in the week edits them. Settings:

    DESTINATIONS__DISCORD__WEBHOOK_URL  secret: the webhook's address
    DESTINATIONS__DISCORD__EXTERNAL     true: people outside the company read it, who get published figures only
    DESTINATIONS__DISCORD__BOT_TOKEN    secret, optional: a bot that may read the channel's history

A webhook cannot read its channel: it knows its messages by their ids alone. So that a message is on its way is
written down before it is sent, and its id as soon as it is answered. Where a run is killed between the two, the next
one looks for the message with the bot and goes on with it; without a bot it posts anew, and says that the message may
stand there twice.
"""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from pipelines.destinations.exchange import (
    Exchange,
    File,
    RefusedError,
    Request,
    UncertainError,
    checked_url,
)
from pipelines.destinations.memory import Memory
from pipelines.destinations.pieces import pieces, utf16_length
from pipelines.digest.chart import Chart
from pipelines.digest.wording import Statement, Wording
from pipelines.errors import KpiError, SettingError

MOST_EMBEDS, MOST_FIELDS, MOST_TOGETHER = 10, 25, 6_000
LONGEST_NAME, LONGEST_VALUE, LONGEST_ALT_TEXT = 256, 1_024, 1_024
PICTURE = "trends.png"
_COLOUR = 0x0969DA
_FOOTER_ROOM = 100
_KEPT_WEEKS = 12
_UNKNOWN_MESSAGE = "10008"
_EPOCH = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
_SETTING = "DESTINATIONS__DISCORD__WEBHOOK_URL"
_NEW_WEBHOOK = f"Make a new webhook in the channel's settings and set {_SETTING} to its address."

Message = dict[str, Any]


@dataclass(frozen=True)
class Webhook:
    """The address of a webhook, taken apart."""

    origin: str
    webhook_id: str
    token: str
    thread_id: str | None

    @property
    def base_url(self) -> str:
        """The address of all requests: in the version of the API whose rules for attachments hold here."""
        return f"{self.origin}/api/v10/webhooks/{self.webhook_id}/{self.token}"

    @property
    def shown(self) -> str:
        """The same for people, without the secret in it."""
        return f"{self.origin}/api/v10/webhooks/{self.webhook_id}/…"

    def path(self, path: str, **query: str) -> str:
        """Add the query to a path; the thread, where the webhook posts into one."""
        query |= {"thread_id": self.thread_id} if self.thread_id else {}
        return path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


def webhook(url: str) -> Webhook:
    """Take a webhook's address apart; raises SettingError, which does not show it."""
    form = r"(https?://[^/?#]+)/api(?:/v\d+)?/webhooks/(\d+)/([\w-]+)/?(?:\?[^#]*)?"
    found = re.fullmatch(form, url)
    if not found or not checked_url(url):
        raise SettingError(
            f"{_SETTING} is no address of a Discord webhook.",
            "Copy it whole from the channel's settings: https://discord.com/api/webhooks/<number>/<token>.",
        )
    [thread] = parse_qs(urlsplit(url).query).get("thread_id", [""])[:1]
    return Webhook(found[1], found[2], found[3], quote(thread) or None)


def messages(wording: Wording, chart: Chart | None, week: str) -> list[Message]:
    """Lay a digest out as messages within every limit of Discord, the fields in order.

    A field that is too long goes on in a field of its own; an embed that is full in the next embed, a message that
    is full in the next message.
    """
    title, subtitle = _escaped(wording.title), _escaped(wording.subtitle)
    found: list[list[Message]] = [[{"title": title, "description": subtitle, "color": _COLOUR, "fields": []}]]
    room = MOST_TOGETHER - _FOOTER_ROOM - utf16_length(title) - utf16_length(subtitle)
    for statement in wording.statements:
        for field in _fields(statement):
            size = utf16_length(field["name"]) + utf16_length(field["value"])
            is_full = len(found[-1][-1]["fields"]) == MOST_FIELDS
            if size > room or (is_full and len(found[-1]) == MOST_EMBEDS):
                continued = f"{title} (continued)"
                found.append([{"title": continued, "color": _COLOUR, "fields": []}])
                room = MOST_TOGETHER - _FOOTER_ROOM - utf16_length(continued)
            elif is_full:
                found[-1].append({"color": _COLOUR, "fields": []})
            found[-1][-1]["fields"].append(field)
            room -= size
    for part, embeds in enumerate(found, start=1):
        embeds[-1]["footer"] = {"text": _marker(week, part) + (f" of {len(found)}" if len(found) > 1 else "")}
    if chart:
        found[0][0]["image"] = {"url": f"attachment://{PICTURE}"}
    described = {"id": 0, "filename": PICTURE, "description": _alt_text(chart.alt_text)} if chart else None
    return [
        {
            "embeds": embeds,
            "allowed_mentions": {"parse": []},
            "attachments": [described] if described and embeds is found[0] else [],
        }
        for embeds in found
    ]


def _marker(week: str, part: int) -> str:
    return f"Digest {week}, part {part}"


def _fields(statement: Statement) -> list[dict[str, str]]:
    names = pieces(_escaped(statement.title), LONGEST_NAME - 2) or [statement.key]
    more = [f"…{name}" for name in names[1:]]
    sentences = [_escaped(sentence) for sentence in statement.sentences]
    value = "\n".join([*more, f"**{sentences[0]}**", *sentences[1:]])
    first, *rest = pieces(value, LONGEST_VALUE)
    continued = pieces(f"{names[0]} (continued)", LONGEST_NAME)[0]
    return [
        {"name": f"{names[0]}…" if more else names[0], "value": first},
        *({"name": continued, "value": piece} for piece in rest),
    ]


def _escaped(text: str) -> str:
    """Show every character as it is: no emphasis, link, mention, quotation, list or heading comes of a name."""
    literal = re.sub(r"([\\*_~`|<>\[\]])", r"\\\1", text)
    return re.sub(r"(?m)^(\s*)(#{1,3} |[-+] |\d+(?=\. ))", r"\1\\\2", literal)


def _alt_text(text: str) -> str:
    """Keep whole sentences as far as they fit; the figures of the others stand in the fields."""
    if utf16_length(text) <= LONGEST_ALT_TEXT:
        return text
    ending = " The others stand in the text."
    return pieces(text, LONGEST_ALT_TEXT - utf16_length(ending))[0].rsplit(". ", 1)[0] + "." + ending


@dataclass
class Discord:
    """Posts, edits and removes the messages of one webhook."""

    webhook: Webhook
    memory: Memory
    exchange: Exchange
    now: Callable[[], dt.datetime]
    bot: Exchange | None = None

    def planned(self, digest: list[Message], chart: Chart | None, week: str) -> list[Request]:
        """Say what would be sent now, in order."""
        self._check_alive()
        known = self._record(week)["messages"]
        requests = [
            self._edit(known[part], message, chart)
            if part < len(known) and known[part]
            else self._post(message, chart)
            for part, message in enumerate(digest)
        ]
        return requests + [self._delete(message_id) for message_id in known[len(digest) :] if message_id]

    def deliver(self, digest: list[Message], chart: Chart | None, week: str) -> list[str]:
        """Bring the channel to show this digest once; gives what people should know.

        Raises KpiError, after which the same call goes on from there.
        """
        self._check_alive()
        record = self._record(week)
        notes = self._settle(record, week)
        known = record["messages"]
        posted = edited = 0
        for part, message in enumerate(digest):
            known.extend([None] * (part + 1 - len(known)))
            if known[part] and self._send(self._edit(known[part], message, chart)):
                edited += 1
                continue
            # Not there yet, or somebody deleted it.
            known[part] = None
            self._create(record, part, self._post(message, chart))
            posted += 1
        while len(known) > len(digest):
            if known[-1]:
                self._send(self._delete(known[-1]))
            known.pop()
            self.memory.save()
        return [*notes, f"{posted} posted, {edited} edited ({week})"]

    def _record(self, week: str) -> dict[str, Any]:
        weeks: dict[str, Any] = self.memory.content.setdefault("weeks", {})
        record: dict[str, Any] = weeks.setdefault(week, {"messages": [], "posting": None})
        for old in sorted(weeks)[:-_KEPT_WEEKS]:
            if old != week:
                del weeks[old]
        return record

    def _check_alive(self) -> None:
        if self.memory.content.get("gone"):
            raise KpiError(
                f"Discord's webhook {self.webhook.webhook_id} is gone, and is not called any more.",
                _NEW_WEBHOOK,
            )

    def _settle(self, record: dict[str, Any], week: str) -> list[str]:
        """Find out what became of a message that was on its way when a run ended."""
        posting = record["posting"]
        if posting is None:
            return []
        part, since = posting["part"], dt.datetime.fromisoformat(posting["since"])
        found = self._look_for(_marker(week, part + 1), since, record["messages"]) if self.bot else None
        if found:
            record["messages"].extend([None] * (part + 1 - len(record["messages"])))
            record["messages"][part] = found
        record["posting"] = None
        self.memory.save()
        if found:
            return [f"part {part + 1}: found in the channel, where a run that was stopped had posted it"]
        if self.bot:
            return []
        return [
            f"part {part + 1}: a run was stopped while it posted this, so that it may stand in the channel twice; "
            "delete the older one, or set DESTINATIONS__DISCORD__BOT_TOKEN, by which it is found"
        ]

    def _look_for(self, marker: str, since: dt.datetime, known: list[str | None]) -> str | None:
        """Find a message of the webhook in its channel that is newer than an instant and of no known id.

        A bot that may not read contents sees messages without embeds: then who sent it, and when, must do.
        """
        assert self.bot is not None
        # Their clock and ours may differ.
        milliseconds = int((since - dt.timedelta(minutes=2) - _EPOCH).total_seconds() * 1000)
        channel = self.webhook.thread_id or self._told(Request("GET", ""))["channel_id"]
        path = f"/channels/{channel}/messages?limit=100&after={milliseconds << 22}"
        try:
            answer = self.bot.send(Request("GET", path))
        except (RefusedError, UncertainError) as error:
            raise KpiError(
                f"Discord does not let the bot read the channel ({error}).",
                "Let it view the channel and read its history, or take DESTINATIONS__DISCORD__BOT_TOKEN out.",
            ) from None
        candidates = [
            message
            for message in answer["items"]
            if message.get("webhook_id") == self.webhook.webhook_id and message["id"] not in known
        ]
        for message in candidates:
            footers = [embed.get("footer", {}).get("text", "") for embed in message.get("embeds", [])]
            if not footers or any(re.match(rf"{re.escape(marker)}\b", footer) for footer in footers):
                return str(message["id"])
        return None

    def _create(self, record: dict[str, Any], part: int, request: Request) -> None:
        record["posting"] = {"part": part, "since": self.now().isoformat()}
        self.memory.save()
        try:
            answer = self._told(request)
        except _NotKnownError:
            raise
        except KpiError:
            record["posting"] = None
            self.memory.save()
            raise
        record["messages"][part] = str(answer["id"])
        record["posting"] = None
        self.memory.save()

    def _send(self, request: Request) -> bool:
        """Send what may be sent twice; False where the message is not there any more."""
        try:
            self._told(request)
        except _MessageGoneError:
            return False
        return True

    def _told(self, request: Request) -> dict[str, Any]:
        try:
            return self.exchange.send(request)
        except UncertainError as error:
            raise _NotKnownError(
                f"Discord gave no usable answer ({error.reason}).",
                "Start the same command again: it finds out what arrived and goes on from there.",
            ) from None
        except RefusedError as error:
            raise self._refused(error) from None

    def _refused(self, error: RefusedError) -> KpiError:
        if error.status == 404 and error.code == _UNKNOWN_MESSAGE:
            return _MessageGoneError("A message is not there any more.", "Start the same command again.")
        if error.status == 404:
            self.memory.content["gone"] = True
            self.memory.save()
            return KpiError(
                f"Discord's webhook {self.webhook.webhook_id} is gone; it is not called any more.",
                _NEW_WEBHOOK,
            )
        if error.status in {401, 403}:
            return KpiError(f"Discord does not accept the webhook ({error}).", _NEW_WEBHOOK)
        if error.status == 429:
            return KpiError(
                "Discord takes no more messages for now.", "Start the same command again in some minutes."
            )
        return KpiError(
            f"Discord refused a message ({error}): {error.words or 'no reason given'}.",
            "Look at what was sent with --dry-run.",
        )

    def _post(self, message: Message, chart: Chart | None) -> Request:
        return Request("POST", self.webhook.path("", wait="true"), message, _files(message, chart))

    def _edit(self, message_id: str, message: Message, chart: Chart | None) -> Request:
        path = self.webhook.path(f"/messages/{message_id}")
        return Request("PATCH", path, {"content": None, **message}, _files(message, chart))

    def _delete(self, message_id: str) -> Request:
        return Request("DELETE", self.webhook.path(f"/messages/{message_id}"))


class _NotKnownError(KpiError):
    """Whether a message was posted is not known."""


class _MessageGoneError(KpiError):
    """A message that was posted has been deleted since."""


def _files(message: Message, chart: Chart | None) -> tuple[File, ...]:
    if chart is None or not message["attachments"]:
        return ()
    return (File("files[0]", PICTURE, chart.png, "image/png"),)
