"""One digest to several destinations: each gets the figures of its audience; one that fails does not stop the others."""

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.destinations import discord, files, notion
from pipelines.destinations.exchange import PATIENCE, Exchange, checked_url
from pipelines.destinations.memory import Memory
from pipelines.digest.chart import Chart, trends
from pipelines.digest.facts import Audience, Digest, week_of
from pipelines.digest.html import page
from pipelines.digest.making import make_digest
from pipelines.digest.reading import read_figures
from pipelines.digest.text import text
from pipelines.digest.wording import Wording, worded
from pipelines.errors import KpiError, SettingError
from pipelines.sources.load import Progress
from pipelines.warehouse import PROJECT_ROOT, Warehouse, secret, setting

POSTED = ("discord", "notion")
DESTINATIONS = (*POSTED, "html", "text")
COMPARE_DAYS = 14
_MONDAY = 0
_KEPT_WEEKS = 12
_YES, _NO = {"true", "yes", "1"}, {"false", "no", "0"}


@dataclass
class Outcome:
    """What one delivery did."""

    shown: list[str] = field(default_factory=list)
    """What people see, in order."""
    errors: list[KpiError] = field(default_factory=list)


@dataclass
class Edition:
    """One digest for one audience, with its words and its picture."""

    digest: Digest

    @cached_property
    def wording(self) -> Wording:
        """The digest in words."""
        return worded(self.digest)

    @cached_property
    def chart(self) -> Chart | None:
        """The picture of its trends."""
        return trends(self.digest)


@dataclass
class Delivery:
    """Makes the digest of a date and brings it where it is to go."""

    warehouse: Warehouse
    date: dt.date
    progress: Progress
    is_forced: bool = False
    is_dry: bool = False
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    sleep: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        self._editions: dict[Audience, Edition] = {}
        self._issues = Memory(self._memory_file("issues"))
        self._compare_days = _compare_days()
        self._patience = _patience()

    def deliver(self, names: tuple[str, ...]) -> Outcome:
        """Bring the digest to the destinations named, or to all that are configured.

        What others read (Discord, Notion) is posted on Mondays, on other days only where it is forced.
        """
        outcome = Outcome()
        works = {"discord": self._discord, "notion": self._notion, "html": self._html, "text": self._text}
        for name in names or configured():
            if name in POSTED and self.date.weekday() != _MONDAY and not (self.is_forced or self.is_dry):
                outcome.shown.append(
                    f"{name}: nothing sent, as {self.date} is no Monday (--force sends it all the same)"
                )
                continue
            try:
                outcome.shown += works[name]()
            except KpiError as error:
                outcome.errors.append(error)
        return outcome

    def _edition(self, name: str) -> Edition:
        audience: Audience = "published" if _is_external(name) else "internal"
        if audience not in self._editions:
            figures = read_figures(self.warehouse, audience, self.date, self._since())
            digest = make_digest(
                figures.metrics,
                figures.points,
                figures.restated,
                figures.currency_decimals,
                date=self.date,
                audience=audience,
                compare_days=self._compare_days,
                figures_at=figures.figures_at,
                since=self._since(),
            )
            if not digest.lines:
                raise KpiError(
                    "No metric of the digest is published.",
                    "Set audience to published for some of seeds/metrics.csv that have in_digest, then: kpi build.",
                )
            self._editions[audience] = Edition(digest)
        return self._editions[audience]

    def _since(self) -> dt.datetime:
        """The instant of the figures in the last digest of an earlier week; a week ago where there was none."""
        earlier = [week for week in self._issues.content if week < week_of(self.date)]
        if earlier:
            return dt.datetime.fromisoformat(self._issues.content[max(earlier)])
        week_ago = dt.datetime.combine(self.date, dt.time()) - dt.timedelta(days=7)
        return week_ago.replace(tzinfo=ZoneInfo(self.warehouse.reporting_timezone))

    def _issued(self, digest: Digest) -> None:
        """Keep the instant of the figures in this week's digest, of which the next ones tell what was restated.

        Published figures are never restated.
        """
        if digest.audience == "published":
            return
        self._issues.content[digest.week] = digest.figures_at.isoformat()
        for week in sorted(self._issues.content)[:-_KEPT_WEEKS]:
            del self._issues.content[week]
        self._issues.save()

    def _discord(self) -> list[str]:
        url = secret("destinations.discord.webhook_url")
        if url is None:
            raise SettingError(
                "Discord is not configured.",
                "Set DESTINATIONS__DISCORD__WEBHOOK_URL to the webhook's address.",
            )
        webhook = discord.webhook(url)
        edition = self._edition("discord")
        digest, week = edition.digest, edition.digest.week
        messages = discord.messages(edition.wording, edition.chart, week)
        token = secret("destinations.discord.bot_token")
        bot = (
            self._exchange("Discord", f"{webhook.origin}/api/v10", {"Authorization": f"Bot {token}"})
            if token
            else None
        )
        channel = discord.Discord(
            webhook,
            Memory(self._memory_file(f"discord-{webhook.webhook_id}")),
            self._exchange("Discord", webhook.base_url, {}),
            self.now,
            bot,
        )
        if self.is_dry:
            requests = channel.planned(messages, edition.chart, week)
            return [
                f"discord: would send {len(requests)}:",
                *(request.shown(webhook.shown) for request in requests),
            ]
        self.progress(f"Discord: {len(digest.lines)} figures in {len(messages)} messages")
        notes = channel.deliver(messages, edition.chart, week)
        self._issued(digest)
        return [f"discord: {note}" for note in notes]

    def _notion(self) -> list[str]:
        token = secret("destinations.notion.token")
        if token is None:
            raise SettingError(
                "Notion is not configured.", "Set DESTINATIONS__NOTION__TOKEN to the connection's token."
            )
        base_url = (setting("destinations.notion.base_url", "https://api.notion.com") or "").rstrip("/")
        if not checked_url(base_url):
            raise SettingError(
                "DESTINATIONS__NOTION__BASE_URL is no https address.",
                "Leave it out: it is https://api.notion.com.",
            )
        edition = self._edition("notion")
        headers = {"Authorization": f"Bearer {token}", "Notion-Version": notion.API_VERSION}
        database = notion.Notion(
            self._exchange("Notion", base_url, headers), Memory(self._memory_file("notion"))
        )
        source = database.data_source(
            setting("destinations.notion.database_id"), setting("destinations.notion.data_source_id")
        )
        works = [(source, "")]
        if history := setting("destinations.notion.history_data_source_id"):
            works.append((history, f"@{edition.digest.week}"))
        shown = []
        for target, suffix in works:
            pages = notion.pages(edition.digest, edition.wording, suffix)
            if self.is_dry:
                requests = list(database.planned(target, pages, suffix))
                shown.append(f"notion: would send {len(requests)}:")
                shown += [request.shown(base_url) for request in requests]
                continue
            self.progress(f"Notion: {len(pages)} pages")
            shown += [f"notion: {note}" for note in database.deliver(target, pages, suffix)]
        if not self.is_dry:
            self._issued(edition.digest)
        return shown

    def _html(self) -> list[str]:
        edition = self._edition("files")
        content = page(edition.wording, edition.chart)
        folder = self._folder()
        name = f"digest-{self.date}.html"
        if self.is_dry:
            return [f"html: would write {folder / name}:", content]
        return [f"html: {files.write(folder, name, content)}"]

    def _text(self) -> list[str]:
        return [text(self._edition("files").wording)]

    def _folder(self) -> Path:
        default = self.warehouse.duckdb_path.parent / "digests"
        return PROJECT_ROOT / (setting("destinations.files.folder") or default)

    def _exchange(self, service: str, base_url: str, headers: dict[str, str]) -> Exchange:
        return Exchange(service, base_url, headers, self.sleep, self.progress, self._patience)

    def _memory_file(self, name: str) -> Path:
        return self.warehouse.state_folder / "digest" / f"{name}.json"


def configured() -> tuple[str, ...]:
    """Name the destinations that have settings; the terminal where none has."""
    found = []
    if secret("destinations.discord.webhook_url"):
        found.append("discord")
    if secret("destinations.notion.token"):
        found.append("notion")
    return tuple(found) or ("text",)


def _is_external(name: str) -> bool:
    key = f"destinations.{name}.external"
    value = (setting(key) or "false").lower()
    if value not in _YES | _NO:
        raise SettingError(f"{key.upper().replace('.', '__')} is '{value}'.", "Set it to true or false.")
    return value in _YES


def _patience() -> float:
    text = setting("digest.patience_seconds", str(int(PATIENCE))) or ""
    if not text.isdecimal() or not 0 <= int(text) <= 3600:
        raise SettingError(f"DIGEST__PATIENCE_SECONDS is '{text}'.", "Set it to whole seconds up to 3600.")
    return float(text)


def _compare_days() -> int:
    text = setting("digest.compare_days", str(COMPARE_DAYS)) or ""
    if not text.isdecimal() or not 0 < int(text) <= 364 or int(text) % 7:
        raise SettingError(
            f"DIGEST__COMPARE_DAYS is '{text}'.",
            "Set it to a multiple of 7 up to 364: weeks are compared with weeks.",
        )
    return int(text)
