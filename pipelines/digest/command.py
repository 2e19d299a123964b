"""`kpi digest`: the digest of a day to the people who read it."""

import datetime as dt
import sys
import time

import click

from pipelines.errors import KpiError, SettingError
from pipelines.warehouse import warehouse


def _names(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    from pipelines.digest.delivery import DESTINATIONS

    names = tuple(dict.fromkeys(name.strip() for name in (value or "").split(",") if name.strip()))
    unknown = [name for name in names if name not in DESTINATIONS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)} is none of {', '.join(DESTINATIONS)}.")
    return names


@click.command("digest")
@click.option(
    "--date",
    "day",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="The day it is made for (default: today).",
)
@click.option(
    "--to",
    "names",
    callback=_names,
    metavar="NAMES",
    help="discord, notion, html or text, with commas between (default: what is configured, else text).",
)
@click.option("--dry-run", is_flag=True, help="Show exactly what would be sent, and send nothing.")
@click.option("--force", is_flag=True, help="Post on another day than Monday too.")
def digest_command(day: dt.datetime | None, names: tuple[str, ...], dry_run: bool, force: bool) -> None:
    """Bring the figures flagged for the digest to people: latest final values, compared with 14 days earlier.

    \b
    discord  DESTINATIONS__DISCORD__WEBHOOK_URL
    notion   DESTINATIONS__NOTION__TOKEN, …_DATABASE_ID
    html     a page in DESTINATIONS__FILES__FOLDER
    text     shown here
    A destination with …__EXTERNAL=true gets published figures only.

    Discord and Notion are posted to on Mondays. A second run in the same week edits what the first one posted.
    """
    from pipelines.digest.delivery import Delivery

    started = time.monotonic()

    def progress(message: str) -> None:
        click.echo(f"[{time.monotonic() - started:5.1f} s] {message}", err=True)

    errors: list[KpiError] = []
    shown: list[str] = []
    try:
        house = warehouse()
        date = day.date() if day else house.today()
        if date > house.today():
            raise SettingError(f"--date {date} lies ahead.", f"Give {house.today()} or an earlier day.")
        with house.lock():
            outcome = Delivery(house, date, progress, force, dry_run).deliver(names)
        errors, shown = outcome.errors, outcome.shown
    except KpiError as error:
        errors = [error]
    except KeyboardInterrupt:
        raise click.ClickException("Stopped. The same command goes on from here.") from None
    for text in shown:
        click.echo(text)
    for problem in errors:
        click.echo(f"Error: {problem}", err=True)
    if errors:
        sys.exit(2 if all(isinstance(problem, SettingError) for problem in errors) and not shown else 1)
