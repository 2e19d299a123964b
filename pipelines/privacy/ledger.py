"""The release ledger in memory: every leaf ever released, as it was released."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.privacy.leaves import BASE, LeafKey
from pipelines.privacy.periods import period_end

SCHEMA = "kpi_metrics"
"""Where what is published stands."""
LEDGER_TABLE = "release_ledger"
PARAMETERS_TABLE = "release_parameters"
LONG_TABLE = "metric_data"
"""Every released figure once more, one a row."""
LEDGER_COLUMNS = (
    "family",
    "grain",
    "period_start_date",
    "cell",
    "value",
    "parameters_id",
    "key_id",
    "released_at",
)
LEDGER_TYPES = ("string", "string", "date", "string", "int64", "string", "string", "timestamp")


@dataclass(frozen=True)
class Release:
    """One figure of the ledger, with what it was made under."""

    value: int | None
    parameters_id: str
    key_id: str
    released_at: dt.datetime


@dataclass
class Ledger:
    """Released figures by leaf. `None` is a figure that was withheld; an absent leaf was not released."""

    releases: dict[LeafKey, Release] = field(default_factory=dict)
    _periods: dict[tuple[str, str], set[dt.date]] | None = None
    _first_day: dict[str, dt.date] | None = None
    _cells: dict[tuple[str, str, dt.date], list[LeafKey]] | None = None
    _instants: dict[tuple[str, dt.date], dt.datetime] | None = None

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> "Ledger":
        """Read rows of the ledger. Raises ValueError where a leaf stands there twice."""
        ledger = cls()
        for row in rows:
            key = LeafKey(row["family"], row["grain"], row["period_start_date"], row["cell"])
            if key in ledger.releases:
                raise ValueError(f"{key} is there twice")
            ledger.releases[key] = Release(
                row["value"], row["parameters_id"], row["key_id"], row["released_at"]
            )
        return ledger

    def value(self, key: LeafKey) -> int | None:
        """Give a figure; None where it was withheld or not released."""
        release = self.releases.get(key)
        return None if release is None else release.value

    def periods(self, family: str, grain: str) -> set[dt.date]:
        """Give the first days of the released periods of a family."""
        if self._periods is None:
            self._periods = defaultdict(set)
            for key in self.releases:
                if key.cell != BASE:
                    self._periods[key.family, key.grain].add(key.start)
        return self._periods.get((family, grain), set())

    def cells(self, family: str, grain: str, start: dt.date) -> list[LeafKey]:
        """Name the released leaves of one period of a family, the base aside."""
        if self._cells is None:
            self._cells = defaultdict(list)
            for key in self.releases:
                if key.cell != BASE:
                    self._cells[key.family, key.grain, key.start].append(key)
        return self._cells.get((family, grain, start), [])

    def base(self, family: str) -> LeafKey | None:
        """Name the base leaf of a family, if it was released."""
        if self._first_day is None:
            self._first_day = {key.family: key.start for key in self.releases if key.cell == BASE}
        start = self._first_day.get(family)
        return None if start is None else LeafKey(family, "day", start, BASE)

    def instants(self) -> dict[tuple[str, dt.date], dt.datetime]:
        """Give when the last figure of each period was released, by grain and first day."""
        if self._instants is None:
            self._instants = {}
            for key, release in self.releases.items():
                known = self._instants.setdefault((key.grain, key.start), release.released_at)
                self._instants[key.grain, key.start] = max(known, release.released_at)
        return self._instants

    def digest(self) -> str:
        """Name in 64 hexadecimal digits what the ledger says."""
        return _digest(self.releases.items())

    def digests(self) -> dict[tuple[str, dt.date], tuple[dt.datetime, str]]:
        """Give the first release and the digest of each period, by grain and first day."""
        parts: dict[tuple[str, dt.date], list[tuple[LeafKey, Release]]] = defaultdict(list)
        for key, release in self.releases.items():
            parts[key.grain, key.start].append((key, release))
        return {
            period: (min(release.released_at for _, release in found), _digest(found))
            for period, found in sorted(parts.items())
        }

    def until(self, report_date: dt.date, lateness: Mapping[str, int]) -> "Ledger":
        """Give what could be released by a day: periods that had ended `lateness` days (by parameters id) before it."""
        return Ledger(
            {
                key: release
                for key, release in self.releases.items()
                if period_end(key.grain, key.start) + dt.timedelta(days=lateness[release.parameters_id])
                <= report_date
            }
        )


def _digest(found: Iterable[tuple[LeafKey, Release]]) -> str:
    lines = sorted(
        f"{key.family}|{key.grain}|{key.start}|{key.cell}|{'' if release.value is None else release.value}"
        f"|{release.parameters_id}\n"
        for key, release in found
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
