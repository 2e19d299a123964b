"""A warehouse, doubles of the services, and deliveries to them."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from unittest.mock import patch

from digest_support import MONDAY, Figures, company
from discord_double import BOT_TOKEN, DiscordDouble
from discord_double import TOKEN as HOOK_TOKEN
from notion_double import DATABASE, NotionDouble
from notion_double import TOKEN as NOTION_TOKEN

from pipelines.digest.chart import trends
from pipelines.digest.delivery import Delivery, Outcome
from pipelines.warehouse import Warehouse, environment

# The same facts are the same picture, which takes most of a delivery's time.
_drawn_once = cache(trends)
SECRETS = (BOT_TOKEN, HOOK_TOKEN, NOTION_TOKEN)


@dataclass
class Office:
    """Where digests are made, and the two services that they go to."""

    folder: Path
    discord: DiscordDouble
    notion: NotionDouble
    figures: Figures
    settings: dict[str, str] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.folder / "warehouse.duckdb"

    def deliver(self, *names: str, date: dt.date = MONDAY, dry: bool = False, force: bool = False) -> Outcome:
        """Make the digest of a date from the figures as they are, and deliver it."""
        self.figures.write(self.file)
        with (
            environment(NO_PROXY="127.0.0.1", **self.settings),
            patch("pipelines.digest.delivery.trends", _drawn_once),
        ):
            house = Warehouse("duckdb", self.file, "", "UTC")
            delivery = Delivery(house, date, lambda _: None, force, dry, sleep=self.slept.append)
            outcome = delivery.deliver(names)
        said = "\n".join([*outcome.shown, *map(str, outcome.errors)])
        assert not [secret for secret in SECRETS if secret in said]
        return outcome

    def sent(self, *names: str, date: dt.date = MONDAY, force: bool = False) -> str:
        """Deliver without an error; gives what is shown."""
        outcome = self.deliver(*names, date=date, force=force)
        assert outcome.errors == []
        return "\n".join(outcome.shown)

    def problem(self, *names: str) -> str:
        """Deliver and meet exactly one error; gives what it says."""
        [error] = self.deliver(*names).errors
        return str(error)


@contextmanager
def office(folder: Path) -> Iterator[Office]:
    """A small company with both services configured."""
    with DiscordDouble() as discord, NotionDouble() as notion:
        yield Office(
            folder,
            discord,
            notion,
            company(),
            {
                "DESTINATIONS__DISCORD__WEBHOOK_URL": discord.webhook_url,
                "DESTINATIONS__NOTION__TOKEN": NOTION_TOKEN,
                "DESTINATIONS__NOTION__DATABASE_ID": DATABASE,
                "DESTINATIONS__NOTION__BASE_URL": notion.url,
            },
        )
