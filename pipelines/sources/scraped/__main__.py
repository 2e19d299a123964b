"""`python -m pipelines.sources.scraped`: one run of the source, without the rest of the project."""

import sys

import click

from pipelines.errors import KpiError, SettingError
from pipelines.sources.scraped import load
from pipelines.warehouse import warehouse


@click.command(help="Fetch the declared figures that are due into raw_scraped.observations.")
@click.option("--reparse", is_flag=True, help="Fetch nothing; read the kept pages (30 days) again.")
@click.option("--force", is_flag=True, help="Fetch every target, due or not.")
def main(reparse: bool, force: bool) -> None:
    """Load, print the report, end with 0 (all well), 1 (something failed) or 2 (wrong settings)."""
    try:
        place = warehouse()
        with place.lock():
            report = load(place, lambda line: click.echo(line, err=True), reparse=reparse, force=force)
    except KpiError as error:
        click.echo(str(error), err=True)
        sys.exit(2 if isinstance(error, SettingError) else 1)
    for table, rows in report.rows.items():
        click.echo(f"{report.source}.{table}: {rows} rows")
    for note in report.notes:
        click.echo(note)
    for failure in report.failures:
        click.echo(failure, err=True)
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
