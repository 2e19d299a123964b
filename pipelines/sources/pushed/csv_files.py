"""`kpi push FILE.csv`: the rows of a CSV file into the inbox, those that cannot be taken into quarantine."""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

from pipelines.catalogue import Metric, read_metrics
from pipelines.errors import KpiError, SettingError
from pipelines.inbox import Inbox
from pipelines.privacy.identity import load_keys
from pipelines.sources.events.delimited import Record, Records
from pipelines.sources.load import Progress
from pipelines.sources.pushed.values import FIELDS, PushedValue, RejectedRow, Unfit, accept, read_number
from pipelines.warehouse import Warehouse

NEEDED = ("metric", "value", "timestamp")
ROWS_AT_ONCE = 10_000
MOST_SHOWN = 20
HEADER_REMEDY = (
    "Begin it with: metric,value,timestamp (and id, if the rows have one). Nothing of it was taken."
)
REMEDIES = {
    "unknown_metric": "Add the metric to seeds/metrics.csv with a daily_aggregation, or correct its key",
    "not_a_pushed_metric": "Push only metrics with a daily_aggregation",
    "malformed": "Give the row as many cells as the header has, in UTF-8, with quotes closed",
    "missing": "Fill the cell",
    "not_a_number": "Write digits with a point, such as 1234.5",
    "not_finite": "Write digits with a point, such as 1234.5",
    "future": "Correct the timestamp, or push the row later",
    "unreadable": "Correct the cell",
    "out_of_range": "Correct the cell",
}


@dataclass
class PushReport:
    """What one file held."""

    taken: int = 0
    left_out: int = 0
    problems: list[str] = field(default_factory=list)
    """File, line, field and remedy of the first rows that were left out."""


def push_file(warehouse: Warehouse, path: Path, progress: Progress) -> PushReport:
    """Put every good row into the inbox, so that it is on disk when this returns, and say what is wrong with the others.

    Raises SettingError where there is no such file or its header is not as it should be, KpiError where the file cannot be
    read or the inbox not be written; rows that were taken before stay, and taken again they count once.
    """
    metrics = read_metrics(warehouse.seeds_folder)
    inbox = Inbox(warehouse.inbox_folder)
    report = PushReport()
    try:
        with path.open("rb") as stream:
            records = iter(Records(stream, lambda: True))
            names = _header(next(records, None), path.name)
            while batch := list(itertools.islice(records, ROWS_AT_ONCE)):
                lines = list(_lines(warehouse, batch, names, metrics, path.name, report))
                inbox.append("metric_values", lines)
                progress(f"{path.name}: {report.taken + report.left_out:,} rows")
    except OSError as error:
        if not path.exists():
            raise SettingError(f"There is no file {path}.", "Name a CSV file.") from None
        what = (
            f"{path} cannot be read" if error.filename == str(path) else f"{inbox.folder} cannot be written"
        )
        raise KpiError(
            f"{what} ({error.strerror or type(error).__name__}); {report.taken:,} rows were looked at.",
            "Give this user the right to, or make room, then push the file again: rows that are in count once.",
        ) from error
    return report


def _header(record: Record | None, file_name: str) -> list[str]:
    names = [name.strip().lower() for name in (record.cells if record else None) or ()]
    if missing := [name for name in NEEDED if name not in names]:
        raise SettingError(f"{file_name} has no column '{missing[0]}'.", HEADER_REMEDY)
    if set(names) - FIELDS:
        raise SettingError(
            f"{file_name} has a column that is none of {', '.join(sorted(FIELDS))}.", HEADER_REMEDY
        )
    if len(set(names)) < len(names):
        raise SettingError(f"{file_name} has a column twice.", HEADER_REMEDY)
    return names


def _lines(
    warehouse: Warehouse,
    batch: list[Record],
    names: list[str],
    metrics: Mapping[str, Metric],
    file_name: str,
    report: PushReport,
) -> Iterator[bytes]:
    zone = ZoneInfo(warehouse.reporting_timezone)
    started = dt.datetime.now(dt.UTC)
    for number, record in enumerate(batch):
        # Of two rows of one metric and timestamp the lower one is the last.
        received_at = started + dt.timedelta(microseconds=number)
        try:
            value = _value(record, names, metrics, received_at, zone)
        except Unfit as unfit:
            report.left_out += 1
            if len(report.problems) < MOST_SHOWN:
                about = f", field {unfit.field}" if unfit.field else ""
                report.problems.append(
                    f"{file_name}, line {record.line_number}{about}: {unfit.words}.\n  -> {REMEDIES[unfit.reason]}."
                )
            yield RejectedRow(
                source_file=f"csv:{file_name}",
                line_number=record.line_number,
                reason=unfit.reason,
                field=unfit.field,
                line_hash=load_keys(warehouse).line_hash(record.raw.rstrip(b"\r\n")),
                received_at=received_at,
            ).line()
        else:
            report.taken += 1
            yield value.line()


def _value(
    record: Record, names: list[str], metrics: Mapping[str, Metric], received_at: dt.datetime, zone: ZoneInfo
) -> PushedValue:
    if record.cells is None or len(record.cells) != len(names):
        raise Unfit("malformed", None, f"the row has not the {len(names)} cells of the header")
    cells = {name: cell.strip() for name, cell in zip(names, record.cells, strict=True)}
    # Without it, a file that is pushed twice would count twice.
    if not cells["timestamp"]:
        raise Unfit("missing", "timestamp", "the cell timestamp is empty")
    number = read_number(cells["value"])
    return accept(
        {**cells, "value": cells["value"] if number is None else number}, metrics, received_at, zone
    )
