"""The commands about what leaves the company, and who leaves the warehouse: they parse, call and print.

Each imports what it needs when it runs: a solver is nothing that every `kpi` should wait for.
"""

import datetime as dt
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.errors import KpiError, SettingError
from pipelines.sources.load import Progress
from pipelines.warehouse import Warehouse, warehouse

if TYPE_CHECKING:
    from pipelines.privacy.audit import AuditReport

_FOLDER = click.Path(file_okay=False, path_type=Path)
_MOST_FINDINGS = 40


@click.command("publish")
@click.option(
    "--to",
    "folder",
    type=_FOLDER,
    help="Where exports go (default: KPI_EXPORTS_PATH, or exports beside the warehouse).",
)
@click.option(
    "--date",
    "report_date",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    help="The report to publish (default: the newest).",
)
def publish_command(folder: Path | None, report_date: dt.datetime | None) -> None:
    """Write the protected marts of one report as CSV and Parquet, after an attack on them found nothing.

    An export is one folder: the tables, a data dictionary, datapackage.json and privacy.json. Written once, it never
    changes: a second call finds it as it is.
    """

    from pipelines.privacy.publish import publish

    def work(house: Warehouse, progress: Progress) -> None:
        day = report_date.date() if report_date else None
        done = publish(house, (folder or house.exports_folder).resolve(), progress, day)
        state = "published" if done.is_new else "was published before, and says the same"
        click.echo(f"{done.folder}: {state} ({done.tables} tables, {done.rows:,} rows)")
        if done.audit:
            click.echo(
                f"attacked: {done.audit.numbers:,} numbers explained, {done.audit.leaves:,} leaves kept at least 5 values"
            )

    _run(work)


@click.group("privacy")
def privacy() -> None:
    """Attack exports, bring a lost ledger back, change the record key."""


@privacy.command("audit")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=_FOLDER)
def audit_command(folders: tuple[Path, ...]) -> None:
    """Attack the exports in each DIR as a stranger would, and say what could be found out.

    Reads published files only, never the database. Ends with 1 if anything can be found out.
    """
    from pipelines.privacy.audit import audit

    progress = _progress()
    try:
        report = audit(folders, progress)
    except KpiError as error:
        _stop(error)
    _show(report)
    if not report.is_safe:
        sys.exit(1)


@privacy.command("restore")
@click.argument("folders", metavar="DIR...", nargs=-1, required=True, type=_FOLDER)
def restore_command(folders: tuple[Path, ...]) -> None:
    """Read the release ledger from the exports in each DIR back into a warehouse that lost it."""

    from pipelines.privacy.restore import restore

    def work(house: Warehouse, progress: Progress) -> None:
        written = restore(house, folders, progress)
        for name, rows in written.items():
            click.echo(f"{name}: {rows:,} rows brought back" if rows else f"{name}: nothing was missing")

    _run(work)


@privacy.command("rotate")
def rotate_command() -> None:
    """Make another record key; periods that are released keep their figures."""

    from pipelines.privacy.rotation import rotate

    def work(house: Warehouse, progress: Progress) -> None:
        old, new = rotate(house)
        click.echo(
            f"record key: {old} before, {new} now. Released periods keep what they have; back up the keys file."
        )

    _run(work)


@click.command("forget")
@click.argument("user_id", metavar="USER_ID")
@click.option("--no-build", is_flag=True, help="Leave the intermediate tables and marts to the next build.")
def forget_command(user_id: str, no_build: bool) -> None:
    """Erase the user USER_ID, as the event files name it, from raw to intermediate; - reads it from standard input.

    Published figures stay as they are, and the user does not come back when the same files are loaded again. Your own
    source files are not touched.
    """
    from pipelines.privacy.forget import forget
    from pipelines.run import build_marts

    given = click.get_text_stream("stdin").readline() if user_id == "-" else user_id

    def work(house: Warehouse, progress: Progress) -> None:
        done = forget(house, given, progress)
        again = " (erased before)" if done.was_known else ""
        click.echo(f"forgotten{again}: {done.lines:,} lines deleted; later loads leave the user out")
        if no_build:
            click.echo("Intermediate tables and marts follow with the next build: kpi build")
            return
        report = build_marts(house, progress)
        for failure in report.failures:
            click.echo(f"  FAILED: {failure}", err=True)
        click.echo(f"build: {report.built} models and seeds, {report.tested} tests")
        if report.failures:
            sys.exit(1)

    _run(work)


@click.command("doctor")
def doctor_command() -> None:
    """Say whether keys, rights, allowlists, grants, time zone, warehouse, ledger and exports are in order."""
    from pipelines.privacy.doctor import examine

    try:
        checks = list(examine(warehouse()))
    except KpiError as error:
        _stop(error)
    for check in checks:
        click.echo(f"{'ok  ' if check.is_well else 'WRONG'} {check.name}: {check.said}")
        if check.remedy:
            click.echo(f"      -> {check.remedy}")
    if not all(check.is_well for check in checks):
        sys.exit(1)


def add_to(group: click.Group) -> None:
    """Add these commands to `kpi`."""
    for command in (publish_command, privacy, forget_command, doctor_command):
        group.add_command(command)


def _progress() -> Progress:
    started = time.monotonic()
    return lambda message: click.echo(f"[{time.monotonic() - started:5.1f} s] {message}", err=True)


def _run(work: Callable[[Warehouse, Progress], None]) -> None:
    try:
        house = warehouse()
        with house.lock():
            work(house, _progress())
    except KpiError as error:
        _stop(error)
    except KeyboardInterrupt:
        raise click.ClickException("Stopped. The same command goes on from here.") from None


def _stop(error: KpiError) -> None:
    click.echo(f"Error: {error}", err=True)
    sys.exit(2 if isinstance(error, SettingError) else 1)


def _show(report: "AuditReport") -> None:
    for finding in report.findings[:_MOST_FINDINGS]:
        click.echo(str(finding))
    if len(report.findings) > _MOST_FINDINGS:
        click.echo(f"… and {len(report.findings) - _MOST_FINDINGS} more")
    click.echo(
        f"{report.exports} exports, {report.numbers:,} numbers, {report.leaves:,} leaves: "
        + ("nothing can be found out" if report.is_safe else f"{len(report.findings)} findings")
    )
