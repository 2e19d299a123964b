"""The only place that knows destinations and the environment.

`KPI_TARGET` decides where dlt loads to and which target dbt builds. Every setting is read through
dlt's configuration (environment, `.dlt/config.toml`, `.dlt/secrets.toml`), names in upper case:
KPI_TARGET, KPI_DUCKDB_PATH, KPI_REPORTING_TIMEZONE, KPI_SCHEMA_PREFIX, KPI_USER_KEY, KPI_RECORD_KEY, KPI_INBOX_PATH,
KPI_EXPORTS_PATH, KPI_PUSH_TOKENS, KPI_EXPORT_TOKENS.
"""

import datetime as dt
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast
from zoneinfo import ZoneInfo

import dlt
import duckdb
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.schema.exceptions import SchemaException
from filelock import FileLock, Timeout

from pipelines.errors import KpiError, SettingError

PROJECT_ROOT = Path(__file__).resolve().parents[1]

DUCKDB_MARK = slice(8, 12)
"""Where every DuckDB file says that it is one."""

_DBT_SETTINGS = (
    *("KPI_MEMORY_LIMIT", "KPI_TEMP_FOLDER", "KPI_THREADS"),
    *("KPI_BIGQUERY_PROJECT", "KPI_BIGQUERY_LOCATION", "KPI_BIGQUERY_KEYFILE", "KPI_BIGQUERY_IMPERSONATE"),
    *("KPI_BIGQUERY_MAXIMUM_BYTES_BILLED", "KPI_BIGQUERY_JOB_SECONDS", "KPI_BIGQUERY_JOB_RETRIES"),
    *("KPI_RAW_RETENTION_DAYS", "KPI_MARTS_RETENTION_DAYS", "KPI_INTERNAL_READERS", "KPI_PUBLISHED_READERS"),
)
"""What profiles.yml and dbt_project.yml read, which may stand in dlt's files too."""

Target = Literal["duckdb", "bigquery"]


@dataclass(frozen=True)
class Warehouse:
    """Where raw rows go and marts are built."""

    target: Target
    duckdb_path: Path
    schema_prefix: str
    reporting_timezone: str
    seeds_path: Path | None = None
    """The user's own folder of seeds; None for the project's."""
    exports_path: Path | None = None
    """Where exports go and earlier ones lie; None for `exports` beside the warehouse file."""
    inbox_path: Path | None = None
    """The user's own folder for what is handed over; None for one beside the warehouse."""

    @property
    def inbox_folder(self) -> Path:
        """Folder of what was handed over and is to be loaded."""
        return self.inbox_path or self.duckdb_path.parent / f"{self._name}.inbox"

    @property
    def _name(self) -> str:
        return self.duckdb_path.stem if self.target == "duckdb" else self.target

    @property
    def seeds_folder(self) -> Path:
        """Folder of the seeds that are in force."""
        return PROJECT_ROOT / (self.seeds_path or "seeds")

    @property
    def state_folder(self) -> Path:
        """Folder of dlt's working files and of dbt's artifacts, apart for each warehouse."""
        return self.duckdb_path.parent / ".kpi" / self._name

    @property
    def keys_file(self) -> Path:
        """File of the pseudonym keys that the embedded warehouse makes for itself."""
        return self.duckdb_path.with_suffix(".keys.toml")

    @property
    def exports_folder(self) -> Path:
        """Folder of the published exports."""
        beside = self.duckdb_path.parent if self.target == "duckdb" else PROJECT_ROOT
        return self.exports_path or beside / "exports"

    def dataset(self, source: str) -> str:
        """Name of the raw schema of a source, such as `raw_events`."""
        return f"{self.schema_prefix}raw_{source}"

    def destination(self) -> Any:
        """Make the dlt destination of this target."""
        if self.target == "bigquery":
            from pipelines import bigquery

            return bigquery.destination()
        return dlt.destinations.duckdb(str(self.duckdb_path))

    def staging(self) -> Any:
        """Make the place that loads pass through on their way to the destination; None where there is none."""
        if self.target != "bigquery":
            return None
        from pipelines import bigquery

        return bigquery.staging()

    def pipeline(self, source: str) -> dlt.Pipeline:
        """Make the dlt pipeline that loads a source into its raw schema.

        Raises KpiError where its working folder is damaged.
        """
        name, folder = f"kpi_{source}", self.state_folder / "pipelines"
        try:
            return dlt.pipeline(
                pipeline_name=name,
                destination=self.destination(),
                staging=self.staging(),
                dataset_name=self.dataset(source),
                pipelines_dir=str(folder),
            )
        except (ValueError, KeyError, SchemaException) as error:
            raise KpiError(
                f"dlt's working folder {folder / name} cannot be read ({type(error).__name__}).",
                start_over(folder / name),
            ) from error

    def today(self) -> dt.date:
        """The calendar day it is now in the reporting zone."""
        return dt.datetime.now(ZoneInfo(self.reporting_timezone)).date()

    def dbt_environment(self) -> dict[str, str]:
        """The process environment for dbt, so that it builds what dlt loaded."""
        hidden = re.compile(
            r"SOURCES__.*|DESTINATIONS__.*|KPI_(USER|RECORD)_KEY|KPI_\w+_TOKENS|KPI_SEEDS_PATH|KPI_REPORT_DATE"
            r"|KPI_BACKFILL_.*",
            re.IGNORECASE,
        )
        environment = {name: value for name, value in os.environ.items() if not hidden.fullmatch(name)}
        if self.seeds_path:
            environment["KPI_SEEDS_PATH"] = str(self.seeds_path)
        for name in _DBT_SETTINGS:
            if value := setting(name.lower()):
                environment[name] = value
        return environment | {
            "KPI_TARGET": self.target,
            "KPI_DUCKDB_PATH": str(self.duckdb_path),
            "KPI_SCHEMA_PREFIX": self.schema_prefix,
            "KPI_REPORTING_TIMEZONE": self.reporting_timezone,
            "KPI_EXPORTS_PATH": str(self.exports_folder),
            "DBT_PROFILES_DIR": str(PROJECT_ROOT / "profiles"),
        }

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the warehouse for one run; a second one ends at once, with a clear message."""
        self.state_folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.state_folder / "run.lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise KpiError(
                f"Another kpi run is at work on {self.duckdb_path.name}.",
                "Wait until it has ended, then start this one again.",
            ) from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open the DuckDB file for reading, in UTC.

        Raises KpiError where there is no file yet or another process has it open for writing.
        """
        if not self.duckdb_path.exists():
            raise KpiError(
                f"There is no warehouse at {self.duckdb_path} yet.",
                "Load something first: kpi run (or kpi demo).",
            )
        try:
            connection = duckdb.connect(str(self.duckdb_path), read_only=True)
        except duckdb.IOException as error:
            raise busy(self.duckdb_path, error) from error
        try:
            connection.execute("set TimeZone = 'UTC'")
            yield connection
        finally:
            connection.close()

    @contextmanager
    def writer(self) -> Iterator[Callable[..., object]]:
        """Give a function that executes one statement (%s for each parameter); on DuckDB all of them or none.

        Raises KpiError where another process has the file open.
        """
        if self.target != "duckdb":
            from pipelines.bigquery import readable_errors

            with readable_errors(), self.pipeline("queries").sql_client() as client:

                def execute(statement: str, *parameters: Any) -> None:
                    client.execute_sql(statement, *parameters)

                yield execute
            return
        try:
            connection = duckdb.connect(str(self.duckdb_path))
        except (duckdb.Error, OSError) as error:
            raise busy(self.duckdb_path, error) from error
        try:
            connection.execute("set TimeZone = 'UTC'")
            connection.begin()
            yield lambda statement, *parameters: connection.execute(
                statement.replace("%s", "?"), list(parameters)
            )
            connection.commit()
        finally:
            # Without a commit nothing of it was done.
            connection.close()

    def check_writable(self) -> None:
        """Raise KpiError now, not after a long extraction, if the warehouse cannot be written: the file, or by the settings."""
        if self.target != "duckdb":
            from pipelines.bigquery import check_settings

            return check_settings()
        try:
            self.duckdb_path.parent.mkdir(parents=True, exist_ok=True)
            duckdb.connect(str(self.duckdb_path)).close()
        except (duckdb.Error, OSError) as error:
            raise busy(self.duckdb_path, error) from error


def start_over(working_folder: Path | str) -> str:
    """Say how to go on where the files of a load that was under way are damaged."""
    return (
        f"delete {working_folder}, then start again: what was on its way is read from its source once more."
    )


def is_full(text: str) -> bool:
    """Tell from an error's text whether there was no room left to write."""
    return any(sign in text for sign in ("No space left", "Disk quota exceeded", "File too large"))


def busy(path: Path, error: Exception) -> KpiError:
    """Say why a warehouse file cannot be opened, and what to do."""
    text = str(error)
    if "lock" in text.lower():
        holder = re.search(r"\(PID (\d+)\)", text)
        process = f" (process {holder[1]})" if holder else ""
        return KpiError(
            f"{path} is open in another process{process}.",
            "Close it there (a DuckDB file takes one writer and no reader beside it), then start again.",
        )
    if is_full(text):
        return KpiError(
            f"The disk of {path} is full.", "Make room, then start again: nothing loaded before is lost."
        )
    return KpiError(
        f"{path} cannot be opened as a DuckDB warehouse ({type(error).__name__}).",
        "Check that KPI_DUCKDB_PATH names a DuckDB file that you may write, or a new one in a folder you may write.",
    )


def setting(key: str, default: str | None = None) -> str | None:
    """Read one setting as text from dlt's configuration; blank counts as not set."""
    value: Any = _read(dlt.config, key)
    text = "" if value is None else str(value).strip()
    return text or default


def secret(key: str) -> str | None:
    """Read one secret as text from dlt's secrets; blank counts as not set."""
    value: Any = _read(dlt.secrets, key)
    text = "" if value is None else str(value).strip()
    return text or None


def _read(settings: Any, key: str) -> Any:
    try:
        return settings.get(key)
    except TomlProviderReadException as error:
        # The parser's own words may quote a secret: of them the place alone is shown.
        place = re.search(r"at (line \d+ col \d+)", str(error))
        raise SettingError(
            f".dlt/{error.file_name} cannot be read as TOML{f' ({place[1]})' if place else ''}.",
            'Write each setting as name = "value", below its [section].',
        ) from None


def warehouse() -> Warehouse:
    """Read the settings of the warehouse.

    Raises SettingError naming the setting, its value and the remedy.
    """
    target = setting("kpi_target", "duckdb")
    if target not in {"duckdb", "bigquery"}:
        raise SettingError(
            f"KPI_TARGET is '{target}'.", "Set it to duckdb or bigquery, or leave it out (duckdb)."
        )
    zone = setting("kpi_reporting_timezone", "UTC")
    assert zone is not None
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise SettingError(
            f"KPI_REPORTING_TIMEZONE is '{zone}', which is no time zone known here.",
            "Use an IANA name such as Europe/Berlin, America/New_York or UTC.",
        ) from error
    prefix = setting("kpi_schema_prefix", "") or ""
    if prefix and not re.fullmatch(r"[a-z][a-z0-9_]*", prefix):
        raise SettingError(
            f"KPI_SCHEMA_PREFIX is '{prefix}'.", "Use lower-case letters, digits and _, with a letter first."
        )
    return Warehouse(
        target=cast(Target, target),
        duckdb_path=_duckdb_path(),
        schema_prefix=prefix,
        reporting_timezone=zone,
        seeds_path=_seeds_path(),
        exports_path=_exports_path(),
        inbox_path=_inbox_path(),
    )


def _inbox_path() -> Path | None:
    text = setting("kpi_inbox_path")
    return None if text is None else PROJECT_ROOT / text


def _duckdb_path() -> Path:
    path = PROJECT_ROOT / cast(str, setting("kpi_duckdb_path", "warehouse.duckdb"))
    try:
        with path.open("rb") as file:
            beginning = file.read(DUCKDB_MARK.stop)
    except OSError:
        # Not there yet, or not to be opened: said where it is opened to be written.
        return path
    if beginning and beginning[DUCKDB_MARK] != b"DUCK":
        raise SettingError(
            f"KPI_DUCKDB_PATH is '{path}', which is no DuckDB file.",
            "Name a warehouse, or a file that is not there yet.",
        )
    return path


def _exports_path() -> Path | None:
    text = setting("kpi_exports_path")
    return None if text is None else PROJECT_ROOT / text


def _seeds_path() -> Path | None:
    """Read the folder of the user's own seeds, relative to the project.

    It must lie in the project: dbt writes what it ran to its target folder joined with this path, and joined
    with an absolute one that is the seed itself.
    """
    text = setting("kpi_seeds_path")
    if text is None:
        return None
    remedy = "mkdir my_seeds && cp seeds/*.csv my_seeds/, change what is yours there, and set it to my_seeds."
    if Path(text).is_absolute() or not (PROJECT_ROOT / text).resolve().is_relative_to(PROJECT_ROOT):
        raise SettingError(f"KPI_SEEDS_PATH is '{text}', which is no folder of the project.", remedy)
    folder = PROJECT_ROOT / text
    missing = sorted(
        seed.name for seed in (PROJECT_ROOT / "seeds").glob("*.csv") if not (folder / seed.name).is_file()
    )
    if missing:
        raise SettingError(f"KPI_SEEDS_PATH is '{text}', where there is no {', '.join(missing)}.", remedy)
    if folder.resolve() != PROJECT_ROOT / "seeds" and any(folder.glob("*.yml")):
        raise SettingError(
            f"KPI_SEEDS_PATH is '{text}', where there are .yml files.",
            "Keep only the CSV files there: types, descriptions and tests come from the project's own seeds folder.",
        )
    return Path(text)


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while , then put the old ones back."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
