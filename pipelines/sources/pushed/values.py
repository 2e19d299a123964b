"""One pushed value: what may be handed over, and its form in the inbox.

The fields are checked once, where they are handed over (a request, a row of a CSV file). The line in the inbox says what
was accepted; a load checks only that it is such a line.
"""

import datetime as dt
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any
from zoneinfo import ZoneInfo

from pipelines.catalogue import Metric

TOLERANCE = dt.timedelta(minutes=1)
"""How far ahead of this machine's clock another one may be."""
EARLIEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
DECIMALS = Decimal("1E-9")
MOST_INTEGER_DIGITS = 29
FIELDS = frozenset({"metric", "value", "timestamp", "id"})
ID = re.compile(r"[!-?A-~]{1,128}")
"""Printable ASCII without white space and `@`, which could be an address."""
METRIC_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,6})?", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?",
    re.ASCII,
)
# Wide enough for every number that is let through; nothing is rounded but to DECIMALS.
_EXACT = Context(prec=60)


class Unfit(Exception):  # noqa: N818 - a fate of a value, not an error of the program
    """A value that is not taken: a code, the field that it is about, and words without any of the content."""

    def __init__(self, reason: str, field: str | None, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.field = field
        self.words = words


@dataclass(frozen=True)
class PushedValue:
    """One value that was accepted."""

    pushed_id: str
    metric_key: str
    value: Decimal
    measured_at: dt.datetime
    received_at: dt.datetime
    is_timed: bool
    """Whether the sender said when it was measured."""

    def line(self) -> bytes:
        """Write it as one line of the inbox."""
        content = {
            "pushed_id": self.pushed_id,
            "metric_key": self.metric_key,
            "value": format(self.value, "f"),
            "measured_at": self.measured_at.isoformat(),
            "received_at": self.received_at.isoformat(),
            "is_timed": self.is_timed,
        }
        return json.dumps(content, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class RejectedRow:
    """A row of a file that was not taken, as the inbox hands it to quarantine."""

    source_file: str
    line_number: int
    reason: str
    field: str | None
    line_hash: str
    received_at: dt.datetime

    def line(self) -> bytes:
        """Write it as one line of the inbox."""
        content = {
            "source_file": self.source_file,
            "line_number": self.line_number,
            "rejected": self.reason,
            "field": self.field,
            "line_hash": self.line_hash,
            "received_at": self.received_at.isoformat(),
        }
        return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def accept(
    fields: Mapping[str, Any], metrics: Mapping[str, Metric], received_at: dt.datetime, zone: ZoneInfo
) -> PushedValue:
    """Check the fields metric, value, timestamp (optional) and id (optional); raise Unfit where one is not taken.

    Numbers in `fields` are Decimals. A timestamp is RFC 3339, without an offset in UTC, or a bare date, which stands for
    noon of that day in the reporting zone; without one the value is of `received_at`. Values are kept to nine decimals.
    """
    strange = sorted(set(fields) - FIELDS)
    if strange:
        raise Unfit(
            "unknown_field", None, f"a value has the fields {', '.join(sorted(FIELDS))} and no others"
        )
    metric_key = _metric(fields.get("metric"), metrics)
    value = _value(fields.get("value"))
    measured_at = _timestamp(fields.get("timestamp"), received_at, zone)
    return PushedValue(
        pushed_id=_id(fields.get("id")),
        metric_key=metric_key,
        value=value,
        measured_at=measured_at or received_at,
        received_at=received_at,
        is_timed=measured_at is not None,
    )


def read_number(text: str) -> Decimal | None:
    """Read a number as it stands in a text, such as a cell of a CSV file; None where it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    return Decimal(text)


def _metric(given: object, metrics: Mapping[str, Metric]) -> str:
    if given is None or given == "":
        raise Unfit("missing", "metric", "the field metric is missing: the key of a metric")
    is_key = isinstance(given, str) and METRIC_KEY.fullmatch(given) is not None
    if not isinstance(given, str) or not is_key or given not in metrics:
        shown = f" '{given}'" if is_key else ""
        raise Unfit(
            "unknown_metric", "metric", f"the metric{shown} is not in the catalogue, seeds/metrics.csv"
        )
    if not metrics[given].is_pushed:
        raise Unfit(
            "not_a_pushed_metric",
            "metric",
            f"the metric '{given}' is computed: only metrics with a daily_aggregation in seeds/metrics.csv are pushed",
        )
    return given


def _value(given: object) -> Decimal:
    if given is None or given == "":
        raise Unfit("missing", "value", "the field value is missing: a number")
    if not isinstance(given, Decimal):
        raise Unfit("not_a_number", "value", "the value is not a number")
    if not given.is_finite():
        raise Unfit("not_finite", "value", "the value is not a finite number")
    if given and given.adjusted() >= MOST_INTEGER_DIGITS:
        raise Unfit(
            "out_of_range", "value", f"the value has more than {MOST_INTEGER_DIGITS} digits before its point"
        )
    if not given:
        return Decimal(0)
    try:
        rounded = given.quantize(DECIMALS, ROUND_HALF_EVEN, _EXACT)
    except InvalidOperation:
        raise Unfit("out_of_range", "value", "the value has too many digits") from None
    if not rounded:
        raise Unfit("out_of_range", "value", "the value is not 0, but would be at nine decimals")
    if rounded.adjusted() >= MOST_INTEGER_DIGITS:
        raise Unfit(
            "out_of_range", "value", f"the value has more than {MOST_INTEGER_DIGITS} digits before its point"
        )
    return rounded


def _timestamp(given: object, now: dt.datetime, zone: ZoneInfo) -> dt.datetime | None:
    """Read when a value was measured; None where that is not said."""
    if given is None or given == "":
        return None
    found = _instant(given, zone) if isinstance(given, str) else None
    if found is None:
        raise Unfit(
            "unreadable",
            "timestamp",
            "the timestamp cannot be read: write 2026-11-20 or 2026-11-20T09:12:44+01:00",
        )
    if found < EARLIEST:
        raise Unfit("out_of_range", "timestamp", "the timestamp lies before the year 2000")
    assert isinstance(given, str)
    is_ahead = (
        found.astimezone(zone).date() > now.astimezone(zone).date()
        if _DAY.fullmatch(given)
        else found > now + TOLERANCE
    )
    if is_ahead:
        raise Unfit("future", "timestamp", "the timestamp lies in the future")
    return found


def _instant(text: str, zone: ZoneInfo) -> dt.datetime | None:
    try:
        if _DAY.fullmatch(text):
            # The one hour that every day has in every zone.
            return dt.datetime.combine(dt.date.fromisoformat(text), dt.time(12), zone).astimezone(dt.UTC)
        match = _INSTANT.fullmatch(text)
        if match is None:
            return None
        day, clock, fraction, offset = match.groups()
        offset = "+00:00" if offset is None or offset in "Zz" else offset
        digits = (fraction or "")[:6].ljust(6, "0")
        return dt.datetime.fromisoformat(f"{day}T{clock}.{digits}{offset}").astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def _id(given: object) -> str:
    if given is None or given == "":
        return f"made-{secrets.token_hex(16)}"
    if isinstance(given, Decimal) and given.is_finite() and 0 <= given.adjusted() < MOST_INTEGER_DIGITS:
        given = format(given, "f")
    if not isinstance(given, str) or not ID.fullmatch(given):
        raise Unfit(
            "unreadable",
            "id",
            "the id is not 1 to 128 printable characters without blanks and @, such as a UUID",
        )
    return given
