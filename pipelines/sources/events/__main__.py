"""`python -m pipelines.sources.events`: load the events that are configured."""

import click

from pipelines.errors import KpiError, SettingError
from pipelines.sources.events import load
from pipelines.warehouse import warehouse


@click.command(help="Load events into raw_events. Settings: see SOURCES__EVENTS__PATH in the README.")
def main() -> None:
    """Load, print the report, and end with 0 (all well), 1 (something failed) or 2 (a setting is wrong)."""
    try:
        target = warehouse()
        with target.lock():
            report = load(target, lambda line: click.echo(line, err=True))
    except KpiError as error:
        click.echo(str(error), err=True)
        raise SystemExit(2 if isinstance(error, SettingError) else 1) from None
    for note in report.notes:
        click.echo(note)
    click.echo(", ".join(f"{rows:,} {table}" for table, rows in report.rows.items()))
    for failure in report.failures:
        click.echo(failure, err=True)
    raise SystemExit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
