"""Discord as a webhook meets it: every limit of a message is enforced, and messages are known by their ids alone."""

import datetime as dt
from typing import Any

from service_double import Asked, Double, Reply

WEBHOOK, CHANNEL = "1122334455", "99887766"
TOKEN = "hook-token-canary_5f2c"
BOT_TOKEN = "bot-token-canary_77ab"
_EPOCH = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
_LIMITS = {"title": 256, "description": 4_096}


def size(text: str) -> int:
    """Count in UTF-16, the stricter of the ways in which clients count."""
    return len(text.encode("utf-16-le")) // 2


class DiscordDouble(Double):
    """One webhook in one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: dict[str, dict[str, Any]] = {}
        self.is_gone = False
        self.bot_reads_contents = True
        self._made = 0

    @property
    def webhook_url(self) -> str:
        return f"{self.url}/api/webhooks/{WEBHOOK}/{TOKEN}"

    def shown(self) -> str:
        """All text of the channel, as Discord shows it: without the signs of Markdown and their escapes."""
        texts = []
        for message in self.messages.values():
            for embed in message["embeds"]:
                texts += [embed.get("title", ""), embed.get("description", "")]
                for entry in embed["fields"]:
                    texts += [entry["name"], entry["value"]]
        return "\n".join(texts).replace("**", "").replace("\\", "")

    def reply(self, asked: Asked) -> Reply:
        if asked.path == f"/api/v10/channels/{CHANNEL}/messages":
            return self._history(asked)
        if self.is_gone:
            return Reply(404, {"message": "Unknown Webhook", "code": 10015})
        base = f"/api/v10/webhooks/{WEBHOOK}/{TOKEN}"
        if not asked.path.startswith(base):
            return Reply(401, {"message": "Invalid Webhook Token", "code": 50027})
        rest = asked.path.removeprefix(base)
        if rest == "":
            return self._post(asked) if asked.method == "POST" else Reply(200, {"channel_id": CHANNEL})
        message_id = rest.removeprefix("/messages/")
        if message_id not in self.messages:
            return Reply(404, {"message": "Unknown Message", "code": 10008})
        if asked.method == "DELETE":
            del self.messages[message_id]
            return Reply(204)
        if asked.method == "PATCH":
            problems = _problems(asked)
            if problems:
                return Reply(400, {"message": f"Invalid Form Body: {problems}", "code": 50035})
            self._store(message_id, asked)
        return Reply(200, self.messages[message_id])

    def _post(self, asked: Asked) -> Reply:
        problems = _problems(asked)
        if problems:
            return Reply(400, {"message": f"Invalid Form Body: {problems}", "code": 50035})
        self._made += 1
        milliseconds = int((dt.datetime.now(dt.UTC) - _EPOCH).total_seconds() * 1000)
        message_id = str((milliseconds << 22) + self._made)
        self._store(message_id, asked)
        return Reply(200, self.messages[message_id]) if asked.query.get("wait") == "true" else Reply(204)

    def _store(self, message_id: str, asked: Asked) -> None:
        # The attachments named are those that stay; the files that come with a request are among them.
        self.messages[message_id] = {
            "id": message_id,
            "webhook_id": WEBHOOK,
            "embeds": asked.body["embeds"],
            "attachments": asked.body["attachments"],
        }

    def _history(self, asked: Asked) -> Reply:
        if asked.headers.get("Authorization") != f"Bot {BOT_TOKEN}":
            return Reply(401, {"message": "401: Unauthorized", "code": 0})
        after = int(asked.query["after"])
        found = [message for message_id, message in self.messages.items() if int(message_id) > after]
        if not self.bot_reads_contents:
            found = [{**message, "embeds": [], "attachments": []} for message in found]
        return Reply(200, list(reversed(found))[: int(asked.query["limit"])])


def _problems(asked: Asked) -> list[str]:
    """Everything for which Discord would refuse a message."""
    body = asked.body
    embeds = body.get("embeds") or []
    found = []
    if body.get("allowed_mentions") != {"parse": []}:
        found.append("allowed_mentions: this test wants no mention at all")
    if not 1 <= len(embeds) <= 10:
        found.append(f"embeds: {len(embeds)} of them")
    if size(body.get("content") or "") > 2_000:
        found.append("content: Must be 2000 or fewer in length.")
    together = 0
    for embed in embeds:
        for part, limit in _LIMITS.items():
            together += size(embed.get(part, ""))
            if size(embed.get(part, "")) > limit:
                found.append(f"{part}: Must be {limit} or fewer in length.")
        footer = embed.get("footer", {"text": "-"})["text"]
        together += size(footer) if "footer" in embed else 0
        if not 1 <= size(footer) <= 2_048:
            found.append("footer.text")
        if len(embed["fields"]) > 25:
            found.append(f"fields: {len(embed['fields'])} of them")
        for entry in embed["fields"]:
            together += size(entry["name"]) + size(entry["value"])
            if not entry["name"].strip() or size(entry["name"]) > 256:
                found.append("field.name")
            if not entry["value"].strip() or size(entry["value"]) > 1_024:
                found.append("field.value")
        found += _picture_problems(embed, asked)
    if together > 6_000:
        found.append(f"embeds: Embed size exceeds maximum size of 6000 ({together})")
    return found


def _picture_problems(embed: dict[str, Any], asked: Asked) -> list[str]:
    if "image" not in embed:
        return []
    name = embed["image"]["url"].removeprefix("attachment://")
    [described] = asked.body["attachments"]
    problems = []
    if described["filename"] != name or f"files[{described['id']}]={name}" not in asked.files:
        problems.append("image: no such attachment")
    elif asked.files[f"files[{described['id']}]={name}"][:4] != b"\x89PNG":
        problems.append("image: no PNG")
    if not 1 <= size(described["description"]) <= 1_024:
        problems.append("attachments.description")
    return problems
