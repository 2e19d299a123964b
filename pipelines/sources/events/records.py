"""Events that lie in another system's table: a Directus collection over REST, or a SQL table.

Both are read in the order of a cursor, from a while before where the last load ended: rows that come twice are settled
like any other copy of an event.
"""

import datetime as dt
import functools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from dlt.sources.helpers import requests
from requests.exceptions import RequestException

from pipelines.errors import KpiError, SettingError
from pipelines.privacy.identity import canonical_text
from pipelines.sources.events import canonical
from pipelines.sources.events.instants import FIRST_STORABLE, LAST_STORABLE, instant
from pipelines.sources.events.mapping import Mapping, Path
from pipelines.sources.events.typed import row_bytes
from pipelines.warehouse import secret, setting

PAGE_SIZE = 1_000
OVERLAP_HOURS = "24"
RESPONSES = {
    401: ("refused the token", "Check SOURCES__EVENTS__DIRECTUS_TOKEN."),
    403: (
        "refused the token",
        "Give its role the right to read the collection, or name the right collection.",
    ),
    404: (
        "has no such collection",
        "Check SOURCES__EVENTS__DIRECTUS_URL and SOURCES__EVENTS__DIRECTUS_COLLECTION.",
    ),
}

Row = dict[str, Any]


@dataclass
class RecordSource:
    """Rows of one table, some at a time, from `since` on. `modified_at` is where the next load starts."""

    cursor: str
    """The column whose instants tell newer rows from older ones."""
    since: dt.datetime | None = field(default=None, init=False)
    modified_at: dt.datetime | None = field(default=None, init=False)
    size: None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """What stands for a file name in the raw tables."""
        raise NotImplementedError

    def pages(self) -> Iterator[list[Row]]:
        """Give the rows, oldest first. Raises KpiError where they cannot be read."""
        raise NotImplementedError

    def resume(self, until: dt.datetime | None) -> None:
        """Start a while before where the last load ended."""
        self.modified_at = until
        if until is not None:
            self.since = until - dt.timedelta(hours=_overlap_hours())

    def numbered(self) -> Iterator[list[tuple[int, Row, Any]]]:
        """Give the rows with their numbers and what makes their bytes, remembering how far they went."""
        number = 0
        for page in self.pages():
            found = []
            for row in page:
                number += 1
                found.append((number, row, functools.partial(row_bytes, row)))
                self._advance(row.get(self.cursor))
            yield found

    def _advance(self, value: object) -> None:
        try:
            text = canonical_text(value)
        except TypeError:
            return
        microseconds = None if text is None else instant(text)
        if microseconds is not None and FIRST_STORABLE <= microseconds <= LAST_STORABLE:
            reached = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
            self.modified_at = max(reached, self.modified_at or reached)


@dataclass
class Directus(RecordSource):
    """A collection of a Directus server."""

    url: str
    token: str = field(repr=False)
    collection: str
    unique: str

    @property
    def name(self) -> str:
        """What stands for a file name in the raw tables."""
        return f"directus:{self.collection}"

    def pages(self) -> Iterator[list[Row]]:
        """Give the rows page by page."""
        client = requests.Client(request_max_attempts=4, request_backoff_factor=0.5, raise_for_status=False)
        offset = 0
        while True:
            parameters: dict[str, str | int] = {
                "limit": PAGE_SIZE,
                "offset": offset,
                "sort": f"{self.cursor},{self.unique}",
            }
            if self.since is not None:
                parameters[f"filter[{self.cursor}][_gte]"] = self.since.strftime("%Y-%m-%dT%H:%M:%SZ")
            page = self._page(client, parameters)
            if page:
                yield page
            if len(page) < PAGE_SIZE:
                return
            offset += len(page)

    def _page(self, client: requests.Client, parameters: dict[str, str | int]) -> list[Row]:
        try:
            response = client.get(
                f"{self.url.rstrip('/')}/items/{self.collection}",
                params=parameters,
                headers={"Authorization": f"Bearer {self.token}"},
            )
        except RequestException as error:
            raise KpiError(
                f"Directus at {self.url} cannot be reached ({type(error).__name__}); nothing of it was loaded.",
                "Check SOURCES__EVENTS__DIRECTUS_URL and the network, then start again.",
            ) from None
        if response.status_code != 200:
            problem, remedy = RESPONSES.get(
                response.status_code, (f"answered {response.status_code}", "Start again later.")
            )
            raise KpiError(f"Directus at {self.url} {problem} (collection '{self.collection}').", remedy)
        try:
            rows = canonical.parse_object(response.content)["data"]
        except (canonical.Refused, KeyError):
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise KpiError(
                f"{self.url} did not answer as Directus does.",
                "Check that SOURCES__EVENTS__DIRECTUS_URL is its address.",
            )
        return rows


@dataclass
class SqlTable(RecordSource):
    """A table (or a view) of a SQL database."""

    url: str = field(repr=False)
    table: str

    @property
    def name(self) -> str:
        """What stands for a file name in the raw tables."""
        return f"sql:{self.table}"

    def pages(self) -> Iterator[list[Row]]:
        """Give the rows, streamed."""
        try:
            engine = sa.create_engine(self.url)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise SettingError(
                f"SOURCES__EVENTS__SQL_URL cannot be used ({type(error).__name__}).",
                "Write it as SQLAlchemy does, such as postgresql://user@host/database (the password by a colon behind the user), with its driver installed.",
            ) from None
        try:
            table = self._reflected(engine)
            column = table.columns[self.cursor]
            statement = sa.select(table).order_by(column)
            if self.since is not None:
                statement = statement.where(column >= _comparable(self.since, column))
            with engine.connect().execution_options(stream_results=True, yield_per=PAGE_SIZE) as connection:
                for page in connection.execute(statement).mappings().partitions():
                    yield [{name: _plain(value) for name, value in row.items()} for row in page]
        except sa.exc.SQLAlchemyError as error:
            raise KpiError(
                f"The SQL table '{self.table}' cannot be read ({type(error).__name__}); nothing of it was loaded.",
                "Check SOURCES__EVENTS__SQL_URL, SOURCES__EVENTS__SQL_TABLE and the rights of the user.",
            ) from None
        finally:
            engine.dispose()

    def _reflected(self, engine: sa.Engine) -> sa.Table:
        schema, _, name = self.table.rpartition(".")
        table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=engine)
        if self.cursor not in table.columns:
            raise KpiError(
                f"The SQL table '{self.table}' has no column '{self.cursor}'.",
                "Name a column with the time of each row in SOURCES__EVENTS__SQL_CURSOR.",
            )
        return table


def configured(mapping: Mapping) -> list[RecordSource]:
    """Make what the settings name; nothing where they name nothing. Raises SettingError where one is missing."""
    found: list[RecordSource] = []
    if url := setting("sources.events.directus_url"):
        token = secret("sources.events.directus_token")
        if token is None:
            raise SettingError(
                "SOURCES__EVENTS__DIRECTUS_TOKEN is not set.", "Set it to a static token of Directus."
            )
        collection = setting("sources.events.directus_collection", "events") or "events"
        cursor = _cursor("directus", mapping)
        found.append(Directus(cursor, url, token, collection, _head(mapping.of("event_id"))))
    if url := secret("sources.events.sql_url"):
        table = setting("sources.events.sql_table")
        if table is None:
            raise SettingError(
                "SOURCES__EVENTS__SQL_TABLE is not set.", "Set it to the table that holds the events."
            )
        found.append(SqlTable(_cursor("sql", mapping), url, table))
    return found


def _cursor(kind: str, mapping: Mapping) -> str:
    default = _head(mapping.of("occurred_at"))
    return setting(f"sources.events.{kind}_cursor", default) or default


def _head(paths: tuple[Path, ...]) -> str:
    return paths[0][0]


def _overlap_hours() -> float:
    text = setting("sources.events.overlap_hours", OVERLAP_HOURS) or OVERLAP_HOURS
    try:
        return float(text)
    except ValueError:
        raise SettingError(
            f"SOURCES__EVENTS__OVERLAP_HOURS is '{text}'.", "Set it to a number of hours."
        ) from None


def _comparable(since: dt.datetime, column: sa.Column[Any]) -> object:
    if isinstance(column.type, sa.DateTime):
        return since if column.type.timezone else since.replace(tzinfo=None)
    return since.strftime("%Y-%m-%dT%H:%M:%S")


def _plain(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
