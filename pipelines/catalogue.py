"""The catalogue of metrics, as the seeds `metrics.csv` in force has it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from pipelines.errors import SettingError


@dataclass(frozen=True)
class Metric:
    """One row of the catalogue, as far as programs ask for it."""

    metric_key: str
    daily_aggregation: str

    @property
    def is_pushed(self) -> bool:
        """Whether its values are handed over, and not computed or scraped."""
        return bool(self.daily_aggregation)


def read_metrics(seeds_folder: Path) -> Mapping[str, Metric]:
    """Read the metrics by their keys; read again only when the file has changed.

    Raises SettingError where the file cannot be read or has not the columns it should have.
    """
    path = seeds_folder / "metrics.csv"
    try:
        stat = path.stat()
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise SettingError(
            f"{path} cannot be read as the catalogue of metrics ({type(error).__name__}).",
            "Put it back as it is in the project's seeds folder, with the columns metric_key and daily_aggregation.",
        ) from None


@lru_cache(maxsize=4)
def _read(path: Path, _modified: int, _size: int) -> Mapping[str, Metric]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        found = [Metric(row["metric_key"], row["daily_aggregation"] or "") for row in csv.DictReader(file)]
    return MappingProxyType({metric.metric_key: metric for metric in found})
