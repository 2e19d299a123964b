"""Figures that stand on web pages and in public APIs, into `raw_scraped.observations`.

One row per target and fetch. A run asks only what is due: a daily target until it has a value for today
in the reporting zone, one with `every_hours` when that time has passed since its last value. What gave no
value is asked again by the next run.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dlt

from pipelines.errors import SettingError
from pipelines.sources.load import LoadReport, Progress, query, run_pipeline
from pipelines.sources.scraped.client import PRODUCT, PoliteClient, Timeouts
from pipelines.sources.scraped.clock import Clock, SystemClock
from pipelines.sources.scraped.login import Logins
from pipelines.sources.scraped.observe import Observation, Observer, Values
from pipelines.sources.scraped.pages import PageFolder
from pipelines.sources.scraped.targets import Declarations, Target, read_declarations
from pipelines.warehouse import PROJECT_ROOT, Warehouse, setting

SOURCE = "scraped"
DEFAULT_TARGETS = PROJECT_ROOT / "scraped.toml"
# A cron job starts some seconds earlier or later than the day or hour before.
SLACK = dt.timedelta(minutes=10)

COLUMNS: Any = {
    "metric_key": {"data_type": "text", "nullable": False},
    "url_host": {"data_type": "text", "nullable": False},
    "observed_at": {"data_type": "timestamp", "nullable": False},
    "state": {"data_type": "text", "nullable": False},
    "reason": {"data_type": "text"},
    "value": {"data_type": "decimal", "precision": 38, "scale": 9},
    "http_status": {"data_type": "bigint"},
    "page_hash": {"data_type": "text"},
    "extractor_version": {"data_type": "text", "nullable": False},
    "parsed_at": {"data_type": "timestamp", "nullable": False},
    "loaded_at": {"data_type": "timestamp", "nullable": False},
}


@dlt.source(name=SOURCE)
def scraped(observations: Iterable[Observation]) -> Any:
    """The dlt source: observations as they are made, merged on (metric_key, observed_at)."""

    @dlt.resource(
        name="observations",
        primary_key=("metric_key", "observed_at"),
        write_disposition="merge",
        columns=COLUMNS,
        schema_contract={"tables": "evolve", "columns": "freeze", "data_type": "freeze"},
    )
    def rows() -> Iterator[Any]:
        yield dlt.mark.materialize_table_schema()
        for observation in observations:
            yield observation.row()

    return rows


def is_configured() -> bool:
    """Whether targets are declared: a setting, or a scraped.toml in the project's root."""
    return setting("sources.scraped.targets") is not None or DEFAULT_TARGETS.exists()


def ensure_tables(warehouse: Warehouse) -> None:
    """Make the raw tables if they are not there, without any request, for models that read them."""
    if not query(warehouse, f"select count(*) as stored from {_table(warehouse)}"):  # noqa: S608 - names of ours
        run_pipeline(warehouse, warehouse.pipeline(SOURCE), scraped([]))


def load(
    warehouse: Warehouse,
    progress: Progress,
    reparse: bool = False,
    force: bool = False,
    clock: Clock | None = None,
    timeouts: Timeouts | None = None,
) -> LoadReport:
    """Fetch every target that is due (all with `force`), or read all kept pages again (`reparse`).

    Raises SettingError where nothing is declared or the declaration cannot be read at all. What fails for
    one target is in the report and stops no other one.
    """
    declarations = _declarations()
    agent, notes = _user_agent()
    client = PoliteClient(clock or SystemClock(), agent, timeouts or Timeouts())
    now = client.clock.now()
    warehouse.check_writable()
    pipeline = warehouse.pipeline(SOURCE)
    if pipeline.has_pending_data:
        # What a killed run fetched counts as fetched.
        run_pipeline(warehouse, pipeline, scraped([]))
    zone = ZoneInfo(warehouse.reporting_timezone)
    stored = _stored(warehouse)
    values = Values(zone)
    for (key, instant), (_, _, value) in stored.items():
        if value is not None:
            values.known.setdefault(key, {})[instant] = value
    pages = PageFolder(warehouse.state_folder / "pages")
    pages.prune(now)
    observer = Observer(client, pages, values, Logins(client))
    report = LoadReport(SOURCE, notes=notes)
    report.failures += [str(error) for error in declarations.errors]
    if reparse:
        made = _read_again(observer, declarations.targets, stored, report, progress)
    else:
        made = _observed(observer, declarations.targets, force, now, report, progress)
    run_pipeline(warehouse, pipeline, scraped(made))
    return report


Stored = dict[tuple[str, dt.datetime], tuple[str, str | None, Decimal | None]]
"""State, reason and value of what is stored, by metric and instant."""


def _stored(warehouse: Warehouse) -> Stored:
    columns = "metric_key, observed_at, state, reason, value"
    rows = query(warehouse, f"select {columns} from {_table(warehouse)}")  # noqa: S608 - names of ours
    return {
        (row["metric_key"], _utc(row["observed_at"])): (row["state"], row["reason"], row["value"])
        for row in rows
    }


def _table(warehouse: Warehouse) -> str:
    return f"{warehouse.dataset(SOURCE)}.observations"


def _utc(instant: dt.datetime) -> dt.datetime:
    return instant.astimezone(dt.UTC) if instant.tzinfo else instant.replace(tzinfo=dt.UTC)


def _declarations() -> Declarations:
    configured = setting("sources.scraped.targets")
    if configured is None and not DEFAULT_TARGETS.exists():
        raise SettingError(
            "Nothing to scrape is declared.",
            "Copy pipelines/sources/scraped/example.toml to scraped.toml in the project's root and edit it, "
            "or name another file by SOURCES__SCRAPED__TARGETS.",
        )
    path = Path(configured) if configured else DEFAULT_TARGETS
    return read_declarations(path if path.is_absolute() else PROJECT_ROOT / path)


def _user_agent() -> tuple[str, list[str]]:
    contact = setting("sources.scraped.contact")
    if contact is None:
        return f"{PRODUCT}/1", [
            "Requests name no contact. Set SOURCES__SCRAPED__CONTACT to an address or page of yours, "
            "so that a host can ask before it blocks."
        ]
    if not contact.isascii() or not contact.isprintable() or len(contact) > 200:
        raise SettingError(
            "SOURCES__SCRAPED__CONTACT cannot stand in a request's header.",
            "Write an e-mail address or the address of a page, in plain ASCII.",
        )
    return f"{PRODUCT}/1 (+{contact})", []


def _observed(
    observer: Observer,
    targets: list[Target],
    force: bool,
    now: dt.datetime,
    report: LoadReport,
    progress: Progress,
) -> Iterator[Observation]:
    """Observe what is due, one target after the other."""
    due = [target for target in targets if force or _is_due(target, observer.values, now)]
    if len(due) < len(targets):
        report.notes.append(
            f"{len(targets) - len(due)} of {len(targets)} targets are not due yet (--force asks all)."
        )
    for number, target in enumerate(due, start=1):
        progress(f"{number}/{len(due)} {target.metric_key} from {target.host}")
        try:
            observation = observer.observe(target)
        except SettingError as error:
            report.failures.append(f"{target.metric_key}: {error}")
            continue
        _count(report, observation)
        if observation.state != "ok":
            report.failures.append(_failure(observation))
        yield observation


def _is_due(target: Target, values: Values, now: dt.datetime) -> bool:
    last = values.last(target.metric_key)
    if last is None:
        return True
    if target.every_hours is not None:
        return now - last >= dt.timedelta(hours=target.every_hours) - SLACK
    return last.astimezone(values.zone).date() < now.astimezone(values.zone).date()


def _read_again(
    observer: Observer, targets: list[Target], stored: Stored, report: LoadReport, progress: Progress
) -> Iterator[Observation]:
    """Read kept pages, oldest first, and give the observations that come out otherwise than they are stored.

    A page that today's extractor cannot read (an older layout) leaves an earlier value as it is.
    """
    outcomes: Counter[str] = Counter()
    for target in targets:
        progress(f"{target.metric_key}: reading kept pages again")
        for kept in observer.pages.all_of(target):
            known = stored.get((target.metric_key, kept.fetched_at))
            observation = observer.read_again(target, kept)
            if known is not None and known[0] == "ok" and observation.state in {"broken", "blocked"}:
                observer.values.known[target.metric_key][kept.fetched_at] = known[2] or Decimal(0)
                outcomes["kept as stored, today's extractor cannot read them"] += 1
                continue
            if known == (observation.state, observation.reason, observation.value):
                outcomes["unchanged"] += 1
                continue
            outcomes[f"now {observation.state}"] += 1
            _count(report, observation)
            yield observation
    summary = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items()))
    report.notes.append(f"Kept pages read again: {summary or 'none are there'}.")


def _count(report: LoadReport, observation: Observation) -> None:
    report.rows["observations"] = report.rows.get("observations", 0) + 1


def _failure(observation: Observation) -> str:
    status = f", HTTP {observation.http_status}" if observation.http_status else ""
    return f"{observation.metric_key} ({observation.url_host}{status}) is {observation.state}: {observation.reason}."
