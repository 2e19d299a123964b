"""The `kpi` command: parses, calls, prints."""

import datetime as dt
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import click
from rich.console import Console

from pipelines.build import check_dates
from pipelines.digest.command import digest_command
from pipelines.errors import KpiError, SettingError
from pipelines.figures import fates_line, figures_table, scraped_lines, unplanned
from pipelines.privacy import commands as privacy_commands
from pipelines.run import RunReport, build_marts, ingest
from pipelines.sources import SOURCES, source_module
from pipelines.sources.load import Progress
from pipelines.warehouse import PROJECT_ROOT, Warehouse, warehouse

_SETTINGS = """\b
Settings come from the environment, .dlt/config.toml and .dlt/secrets.toml:
  KPI_TARGET              duckdb (default) or bigquery
  KPI_BIGQUERY_PROJECT    the project; what else BigQuery takes: docs/bigquery.md
  KPI_DUCKDB_PATH         the warehouse file (default warehouse.duckdb)
  KPI_REPORTING_TIMEZONE  an IANA name (default UTC)
  KPI_SCHEMA_PREFIX       put before every schema name (default nothing)
  KPI_SEEDS_PATH          the folder of the seeds (default seeds)
  KPI_EXPORTS_PATH        the folder of exports (default exports beside the warehouse)
  KPI_INBOX_PATH          the folder of what is pushed (default beside the warehouse)
  KPI_USER_KEY, KPI_RECORD_KEY  the pseudonym keys (DuckDB makes its own)
  KPI_PUSH_TOKENS, KPI_EXPORT_TOKENS  who may send to kpi serve

\b
Exit codes: 0 all well, 1 something failed, 2 wrong usage.
"""


def _day(_context: click.Context, _parameter: click.Parameter, value: dt.datetime | None) -> dt.date | None:
    return value.date() if value else None


_OPTION_OF = {"reparse": "scraped", "force": "scraped", "sweep": "stripe"}
"""The source that an option of `kpi ingest` belongs to."""

_DATE = click.DateTime(formats=["%Y-%m-%d"])


@click.group(epilog=_SETTINGS)
def cli() -> None:
    """Load a company's events, invoices, public and pushed figures, and build its key figures from them."""


@cli.command("ingest")
@click.argument("sources", nargs=-1, type=click.Choice(SOURCES))
@click.option("--reparse", is_flag=True, help="scraped: read the kept pages again, with today's targets.")
@click.option("--force", is_flag=True, help="scraped: fetch figures that are not due yet too.")
@click.option("--sweep", is_flag=True, help="stripe: list everything again and report each difference.")
def ingest_command(sources: tuple[str, ...], reparse: bool, force: bool, sweep: bool) -> None:
    """Load raw rows from SOURCES, or from every source that is configured.

    \b
    events   SOURCES__EVENTS__PATH: a folder, glob or file of JSONL, CSV or Parquet
    stripe   SOURCES__STRIPE__API_KEY: a key that may read invoices, and whatever else it may
    scraped  SOURCES__SCRAPED__TARGETS: a TOML file of pages and what to read there
    pushed   KPI_INBOX_PATH: values that kpi push and kpi serve have taken (events from there: events)
    """
    given = {"reparse": reparse, "force": force, "sweep": sweep}
    options = {name: True for name, is_given in given.items() if is_given}
    for name in options:
        if sources != (_OPTION_OF[name],):
            raise click.UsageError(f"--{name} goes with: kpi ingest {_OPTION_OF[name]}")
    _run(lambda house, progress, report: _ingest(house, sources, progress, report, options))


def source_command(name: str) -> click.Command:
    """Make the command of one source alone, for `python -m pipelines.sources.<name>`."""

    def run(**options: bool) -> None:
        given = {option: value for option, value in options.items() if value}
        _run(lambda house, progress, report: _ingest(house, (name,), progress, report, given))

    options = [
        parameter for parameter in ingest_command.params if _OPTION_OF.get(str(parameter.name)) == name
    ]
    return click.Command(
        name,
        callback=run,
        params=options,
        help=f"{source_module(name).__doc__}\nThe same as: kpi ingest {name}",
        epilog=_SETTINGS,
    )


@cli.command("build")
@click.option(
    "--date", "report_date", type=_DATE, callback=_day, help="The report to build (default: today's)."
)
@click.option("--full-refresh", is_flag=True, help="Rebuild everything from raw; the report dates stay.")
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    help="BigQuery: refuse the statement by which the build would read more, by dry runs.",
)
def build_command(report_date: dt.date | None, full_refresh: bool, max_bytes: int | None) -> None:
    """Build the report of a day, and every report that is missing between the last one and it.

    Where nothing has changed since the last build (no data, no model, no seed, no setting), it ends at once.
    """

    def work(house: Warehouse, progress: Progress, report: RunReport) -> None:
        report.build = build_marts(
            house, progress, report_date=report_date, full_refresh=full_refresh, max_bytes=max_bytes
        )

    _run(work)


@cli.command("run")
@click.option(
    "--date", "report_date", type=_DATE, callback=_day, help="The report to build (default: today's)."
)
def run_command(report_date: dt.date | None) -> None:
    """Load everything that is configured, then build."""

    def work(house: Warehouse, progress: Progress, report: RunReport) -> None:
        # The day on which the run begins, also where midnight passes while it loads.
        newest = check_dates(house, report_date)
        _ingest(house, (), progress, report)
        report.build = build_marts(house, progress, report_date=newest)

    _run(work)


@cli.command("backfill")
@click.option("--from", "first", type=_DATE, callback=_day, required=True, help="The first report date.")
@click.option("--to", "last", type=_DATE, callback=_day, required=True, help="The last report date.")
def backfill_command(first: dt.date, last: dt.date) -> None:
    """Build the reports of a range of days, each as a build on that day would with what is known today."""

    def work(house: Warehouse, progress: Progress, report: RunReport) -> None:
        report.build = build_marts(house, progress, backfill=(first, last))
        click.echo(
            f"reports: {(last - first).days + 1} report dates, {first} to {last}; the newest one stored is shown"
        )

    _run(work)


@cli.command("demo")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=PROJECT_ROOT / ".kpi-demo",
    show_default=".kpi-demo in the project",
    help="Where the made-up data and their warehouse go.",
)
def demo_command(folder: Path) -> None:
    """Load and build a made-up company, and show its figures; your own data are not touched."""
    from pipelines.demo.run import load_company

    def work(house: Warehouse, progress: Progress, report: RunReport) -> None:
        today = house.today()

        def build_without_late_day() -> None:
            build_marts(house, progress, report_date=today, only="metric_versions")

        report.loads = load_company(house, folder.resolve(), progress, today, build_without_late_day)
        report.build = build_marts(house, progress, report_date=today)

    _run(work, Warehouse("duckdb", folder.resolve() / "warehouse.duckdb", "", "UTC"))
    path = _shown(folder.resolve() / "warehouse.duckdb")
    click.echo(
        "\nThis was a made-up company. Look into its warehouse with any DuckDB client, for example:\n"
        f'  {_shown(Path(sys.executable))} -c "import duckdb; duckdb.connect('
        f"'{path}').sql('from kpi_internal.daily_engagement').show()\"\n"
        "Your own data: see 'Your own data in ten minutes' in README.md, then: kpi run"
    )


@cli.command("push")
@click.argument("files", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
def push_command(files: tuple[Path, ...]) -> None:
    """Hand over the values in FILES, CSV with the columns metric, value and timestamp.

    \b
    metric     the key of a metric with a daily_aggregation in seeds/metrics.csv
    value      a number, such as 1234.5
    timestamp  2026-11-20, or 2026-11-20T09:12:44+01:00 (without an offset in UTC)
    id         optional: a value that comes again with its id counts once

    Of several values of one metric and timestamp the last one pushed counts, so that a file may be pushed again.
    The next kpi run or kpi ingest pushed loads them. Rows that cannot be taken are named and go to quarantine.
    """
    from pipelines.sources.pushed.csv_files import push_file

    progress = _progress_from(time.monotonic())
    report = RunReport()
    for path in files:
        try:
            pushed = push_file(warehouse(), path, progress)
        except KpiError as error:
            report.errors.append(error)
            continue
        click.echo(f"{path.name}: {pushed.taken:,} values taken, {pushed.left_out:,} rows left out")
        for problem in pushed.problems:
            click.echo(f"  {problem}", err=True)
        if pushed.left_out:
            shown = (
                f", of which {len(pushed.problems)} are shown"
                if pushed.left_out > len(pushed.problems)
                else ""
            )
            report.errors.append(
                KpiError(
                    f"{pushed.left_out:,} rows of {path.name} were left out{shown}.",
                    "Correct them and push the file again: the rows that are in count once.",
                )
            )
    _end(report)


@cli.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port; 0 takes a free one.",
)
def serve_command(host: str, port: int) -> None:
    """Take figures and events over HTTP, and start runs on demand.

    \b
    POST /metric_data  values of metrics: {"metric": …, "value": …, "timestamp": …, "id": …}
    POST /events       events, in the form of event files
    POST /export-kpi   {"date": …}: starts kpi run once; Idempotency-Key tells a repetition
    GET /healthz       whether it takes what is sent
    GET /docs          all of this in full; /openapi.json for programs

    Tokens, of 32 characters or more, come from KPI_PUSH_TOKENS and KPI_EXPORT_TOKENS; without any, everything is
    refused. It speaks plain HTTP: let others reach it only through a proxy that speaks TLS.
    """
    from pipelines.serve.server import serve

    try:
        serve(warehouse(), host, port, lambda line: click.echo(line, err=True))
    except KpiError as error:
        _end(RunReport(errors=[error]))
    except KeyboardInterrupt:
        click.echo("Stopped. What was acknowledged is in the inbox.", err=True)


privacy_commands.add_to(cli)
cli.add_command(digest_command)


@cli.command("status")
def status_command() -> None:
    """Show on one screen when each source was loaded, what is broken, and what was built."""
    from pipelines.status import built_lines, problem_lines, sources_table

    def work(house: Warehouse) -> None:
        Console(width=max(Console().width, 100)).print(sources_table(house, dt.datetime.now(dt.UTC)))
        for line in (*problem_lines(house), *built_lines(house)):
            click.echo(line)

    _look(work)


@cli.command("explain")
@click.argument("metric")
@click.option(
    "--date", "date", type=_DATE, callback=_day, help="A day of the period to explain (default: the newest)."
)
@click.option(
    "--grain",
    type=click.Choice(("day", "week", "month")),
    default="day",
    show_default=True,
    help="The kind of period.",
)
def explain_command(metric: str, date: dt.date | None, grain: str) -> None:
    """Explain a figure of METRIC: definition, formula, value, the marts and loads behind it, restatements."""
    from pipelines.explain import explanation

    def work(house: Warehouse) -> None:
        for line in explanation(house, metric, date, grain):
            click.echo(line)

    _look(work)


def _look(work: Callable[[Warehouse], None]) -> None:
    """Read the warehouse and show what is in it; a problem ends the command."""
    try:
        work(warehouse())
    except KpiError as error:
        _end(RunReport(errors=[error]))


def _ingest(
    house: Warehouse,
    names: tuple[str, ...],
    progress: Progress,
    report: RunReport,
    options: Mapping[str, bool] | None = None,
) -> None:
    done = ingest(house, names, progress, **(options or {}))
    report.loads, report.errors = done.loads, done.errors


def _run(work: Callable[[Warehouse, Progress, RunReport], None], house: Warehouse | None = None) -> None:
    """Do the work under the warehouse's lock, show what came of it and end with the exit code."""
    progress = _progress_from(time.monotonic())
    report = RunReport()
    try:
        house = house or warehouse()
        with house.lock():
            work(house, progress, report)
            _show(house, report)
    except KpiError as error:
        report.errors.append(error)
    except KeyboardInterrupt:
        raise click.ClickException(
            "Stopped. Nothing loaded before is lost; the same command goes on from here."
        ) from None
    _end(report)


def _progress_from(started: float) -> Progress:
    def progress(message: str) -> None:
        click.echo(f"[{time.monotonic() - started:5.1f} s] {message}", err=True)

    return progress


def _end(report: RunReport) -> None:
    """Say what went wrong and end with the exit code."""
    for problem in report.errors:
        click.echo(f"Error: {problem}", err=True)
    if not report.is_well:
        only_usage = all(isinstance(error, SettingError) for error in report.errors) and report.errors
        sys.exit(2 if only_usage and not report.loads and report.build is None else 1)


def _show(house: Warehouse, report: RunReport) -> None:
    for load in report.loads:
        rows = ", ".join(f"{count:,} {table}" for table, count in load.rows.items() if count) or "nothing new"
        click.echo(f"{load.source}: {rows}")
        for note in load.notes:
            click.echo(f"  {note}")
        for failure in load.failures:
            click.echo(f"  FAILED: {failure}", err=True)
    if report.build is None:
        return
    if report.build.is_current:
        click.echo("build: nothing has changed since the last one")
    else:
        click.echo(f"build: {report.build.built} models and seeds, {report.build.tested} tests")
    for warning in report.build.warnings:
        click.echo(f"  warning: {warning}")
    for failure in report.build.failures:
        click.echo(f"  FAILED: {failure}", err=True)
    click.echo(f"event lines: {fates_line(house)}")
    for hint in unplanned(house):
        click.echo(f"  {hint}")
    click.echo()
    Console(width=max(Console().width, 120)).print(figures_table(house))
    for line in scraped_lines(house):
        click.echo(line)
    click.echo(f"Warehouse: {_shown(house.duckdb_path) if house.target == 'duckdb' else house.target}")


def _shown(path: Path) -> Path:
    """Show a path as people would type it: from the current folder where it lies below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main() -> None:
    """Run the command line."""
    cli(prog_name="kpi")
