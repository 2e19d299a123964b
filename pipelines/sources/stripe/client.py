"""Stripe's HTTP API: one request, one retry loop, single objects and pages of lists as plain JSON.

The SDK makes the requests and signs them; its own retries are off, because they leave out a plain 429, ignore
`Retry-After` and give up on a body cut midway. Its typed objects are not used: they cost most of the time.
"""

import datetime as dt
import email.utils
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlsplit

import orjson
import stripe

from pipelines.errors import KpiError
from pipelines.sources.stripe.budget import Budget

API_VERSION = "2026-10-28.endive"
API_BASE = "https://api.stripe.com"
ROWS_A_PAGE = 100
ATTEMPTS = 7
THREADS = 8
REQUESTS_A_SECOND = 25
FIRST_WAIT = 0.5
LONGEST_BACKOFF = 30.0
LONGEST_RETRY_AFTER = 300.0
CONNECT_AND_READ_SECONDS = (10.0, 80.0)

Json = dict[str, Any]


class Forbidden(Exception):  # noqa: N818 - an answer that the caller expects
    """The key may not read this (403)."""


class Missing(Exception):  # noqa: N818
    """There is no such object any more (404)."""


class CursorGone(Exception):  # noqa: N818
    """The object that a page was to start after is not there any more (400 on `starting_after`)."""


class NotExpandable(Exception):  # noqa: N818
    """A field that was to be expanded does not exist in this version (400 on `expand`)."""


class _Bodies(stripe.RequestsClient):
    """Keeps the bodies of good answers aside as they came: the SDK would take most of the time to read them."""

    def __init__(self, timeout: tuple[float, float]) -> None:
        super().__init__(timeout=timeout)
        self._kept = threading.local()

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """Send a request; the SDK gets an empty object instead of the body of a good answer."""
        body, status, answered = super().request(method, url, headers, post_data)
        self._kept.body = body
        return (b"{}" if status == HTTPStatus.OK else body), status, answered

    def taken(self) -> bytes:
        """The body of this thread's last answer."""
        body: bytes = self._kept.body
        self._kept.body = b""
        return body


class _Passing(Exception):  # noqa: N818
    """Something that may be over at the next attempt."""

    def __init__(self, what: str, retry_after: float = 0.0) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after = retry_after


@dataclass(frozen=True)
class Answer:
    """A parsed body, and the moment its request was sent: the age of what it says."""

    data: Json
    sent_at: dt.datetime


@dataclass(frozen=True)
class Page:
    """Objects of one page of a list."""

    rows: list[Any]
    has_more: bool
    sent_at: dt.datetime


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass
class StripeApi:
    """Reads one account.

    Raises KpiError (with remedy) for a wrong key, for a server that cannot be reached or goes on failing, and for
    answers that are not in Stripe's form; Forbidden and Missing for single resources and objects.
    """

    api_key: str = field(repr=False)
    base_url: str = API_BASE
    api_version: str = API_VERSION
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], dt.datetime] = _now
    jitter: Callable[[], float] = random.random
    attempts: int = ATTEMPTS
    budget: Budget | None = None
    threads: int = THREADS

    def __post_init__(self) -> None:
        self._bodies = _Bodies(timeout=CONNECT_AND_READ_SECONDS)
        self._client = stripe.StripeClient(
            self.api_key,
            stripe_version=self.api_version,
            base_addresses={"api": self.base_url.rstrip("/")},
            max_network_retries=0,
            http_client=self._bodies,
        )

    @property
    def host(self) -> str:
        """Host and port of the base URL, for messages."""
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    def get(self, path: str, **query: Any) -> Answer:
        """Read one object or one page, again and again while the failure may pass."""
        problem = ""
        for attempt in range(self.attempts):
            try:
                return self._once(path, query)
            except _Passing as passing:
                problem = passing.what
                if passing.retry_after > LONGEST_RETRY_AFTER:
                    raise KpiError(
                        f"Stripe ({self.host}) asks to wait {passing.retry_after:.0f} seconds: {problem}.",
                        "Start again after that time: nothing loaded before is lost.",
                    ) from None
                if attempt + 1 < self.attempts:
                    backoff = min(FIRST_WAIT * 2**attempt, LONGEST_BACKOFF) * (0.5 + self.jitter() / 2)
                    self.sleep(max(passing.retry_after, backoff))
        raise KpiError(
            f"Stripe ({self.host}) did not give a usable answer in {self.attempts} attempts: {problem}.",
            "Check the network and SOURCES__STRIPE__BASE_URL (leave it out for Stripe itself), then start again: "
            "nothing loaded before is lost.",
        )

    def page(self, path: str, **query: Any) -> Page:
        """Read one page of a list, newest first, as long as pages can be."""
        try:
            answer = self.get(path, limit=ROWS_A_PAGE, **query)
        except Missing:
            raise self._foreign(path) from None
        rows = answer.data.get("data")
        if not isinstance(rows, list):
            raise self._foreign(path)
        return Page(rows, bool(answer.data.get("has_more")) and bool(ids_of(rows)), answer.sent_at)

    def rest(self, embedded: object, path: str, **query: Any) -> list[Any]:
        """The whole of a list that another object embeds the beginning of.

        Where an entry was taken off meanwhile, so that it is no cursor any more, the list is read from its beginning.
        """
        rows: list[Any] = []
        if isinstance(embedded, Mapping) and isinstance(embedded.get("data"), list):
            rows = list(embedded["data"])
            if not embedded.get("has_more"):
                return rows
        for _ in range(self.attempts):
            try:
                while True:
                    cursors = ids_of(rows)
                    after = {"starting_after": cursors[-1]} if cursors else {}
                    answer = self.get(path, limit=ROWS_A_PAGE, **after, **query)
                    more = answer.data.get("data")
                    if not isinstance(more, list):
                        raise self._foreign(path)
                    rows = rows + more
                    if not answer.data.get("has_more") or not ids_of(more):
                        return rows
            except CursorGone:
                rows = []
        raise KpiError(
            f"Stripe's list {path} changed each time it was read.",
            "Start again: nothing loaded before is lost.",
        )

    def _foreign(self, path: str) -> KpiError:
        return KpiError(
            f"{self.host} answers GET {path} with no list of Stripe's.",
            "Check SOURCES__STRIPE__BASE_URL (leave it out for Stripe itself).",
        )

    def _once(self, path: str, query: Mapping[str, Any]) -> Answer:
        # The SDK's errors carry whole bodies: they are never chained to ours, nor shown.
        if self.budget:
            self.budget.wait()
        sent_at = self.clock()
        try:
            self._client.raw_request("get", path, **query)
            data = _parsed(self._bodies.taken())
        except ValueError:
            failure: Exception = _Passing("the body is not JSON")
        except stripe.APIConnectionError as error:
            failure = _Passing(_connection_problem(error))
        except stripe.StripeError as error:
            failure = self._failure(path, error)
        else:
            if isinstance(data, dict):
                return Answer(cast(Json, data), sent_at)
            failure = _Passing("the body is not a JSON object")
        raise failure

    def _failure(self, path: str, error: stripe.StripeError) -> Exception:
        status = error.http_status or 0
        details = error.json_body.get("error") if isinstance(error.json_body, dict) else None
        details = details if isinstance(details, dict) else {}
        if status == 401:
            return KpiError(
                f"Stripe ({self.host}) does not accept the API key (401).",
                "Set SOURCES__STRIPE__API_KEY to a valid key of the account, "
                "such as a restricted one (rk_...) that may read invoices.",
            )
        if status == 403:
            return Forbidden(path)
        if status == 404:
            return Missing(path)
        if status == 400 and details.get("param") == "starting_after":
            return CursorGone(path)
        if status == 400 and details.get("param") == "expand":
            return NotExpandable(path)
        if status in {409, 429} or status >= 500:
            return _Passing(f"it answers {status}", _retry_after(error.headers, self.clock()))
        if status < 400:
            return _Passing("the body is not JSON")
        return KpiError(
            f"Stripe ({self.host}) refuses GET {path} ({status}, version {self.api_version}).",
            "Check SOURCES__STRIPE__BASE_URL and SOURCES__STRIPE__API_VERSION (leave them out for the defaults).",
        )


def _parsed(body: bytes) -> Any:
    """The JSON of a body. Raises ValueError."""
    try:
        return orjson.loads(body)
    except ValueError:
        # Half a character somewhere in a text is no reason to read nothing of the page.
        return json.loads(body)


def ids_of(rows: list[Any]) -> list[str]:
    """The ids of a page's objects."""
    return [row["id"] for row in rows if isinstance(row, Mapping) and isinstance(row.get("id"), str)]


def _connection_problem(error: stripe.APIConnectionError) -> str:
    text = str(error)
    for sign, problem in {
        "SSLError": "its certificate cannot be verified",
        "NameResolutionError": "its name cannot be resolved",
        "Connection refused": "it refuses the connection",
        "imeout": "it does not answer in time",
    }.items():
        if sign in text:
            return problem
    return "the connection broke"


def _retry_after(headers: Mapping[str, str] | None, now: dt.datetime) -> float:
    """Seconds that the header Retry-After asks for (a number, or a date); 0 where it asks for nothing."""
    value = next((text for name, text in (headers or {}).items() if name.lower() == "retry-after"), "")
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((email.utils.parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return 0.0
