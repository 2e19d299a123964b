"""A polite HTTP client: who it is, one request a second and host, robots.txt, bounded retries.

Every request goes through `PoliteClient.fetch`. It follows redirects itself, so that each hop is paced and
asked of the next host's robots.txt, and it reads no more than 10 MiB and no longer than a minute.
"""

import datetime as dt
import random
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from queue import Empty, Queue
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import urllib3
from dlt.sources.helpers.requests import Session
from protego import Protego

from pipelines.sources.scraped.clock import Clock
from pipelines.sources.scraped.extractors import Page
from pipelines.sources.scraped.outcomes import NoValueError

PRODUCT = "kpi-warehouse"
ATTEMPTS = 3
RETRIED = {429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
MOST_REDIRECTS = 5
SECONDS_BETWEEN_REQUESTS = 1.0
LONGEST_CRAWL_DELAY = 60.0
LONGEST_RETRY_AFTER = 60.0
LARGEST_BODY = 10 * 1024 * 1024
LARGEST_ROBOTS = 512 * 1024
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Timeouts:
    """Seconds to wait for a connection, for the next bytes and for a whole answer."""

    connect: float = 10.0
    read: float = 30.0
    whole: float = 60.0


@dataclass(frozen=True)
class Answer:
    """A final answer, redirects followed."""

    status: int
    headers: Mapping[str, str]
    page: Page


@dataclass
class PoliteClient:
    """What one run remembers of the hosts it asks: when it last did, their robots.txt, who refused."""

    clock: Clock
    user_agent: str
    timeouts: Timeouts = Timeouts()
    jitter: Callable[[], float] = random.random
    _last: dict[str, dt.datetime] = field(default_factory=dict)
    _robots: dict[str, Protego] = field(default_factory=dict)
    _closed: dict[str, str] = field(default_factory=dict)

    def session(self) -> Session:
        """Make a session with its own cookies, which raises for no status and knows no passwords."""
        session = Session(timeout=(self.timeouts.connect, self.timeouts.read), raise_for_status=False)
        # Given one, requests does not look for a password of the host's in ~/.netrc.
        session.auth = _no_authentication
        session.headers.update({"User-Agent": self.user_agent, "Accept": "*/*", "Accept-Encoding": "gzip"})
        return session

    def fetch(
        self,
        session: Session,
        url: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: bytes | None = None,
        ask_robots: bool = True,
        stay_on_host: bool = False,
    ) -> Answer:
        """Fetch a page; any status below 400 and 304 is an answer.

        Raises NoValueError with the reason for everything else. A body (a login form's fields) is sent once
        only and never to another host.
        """
        origin = _origin(url)
        for _ in range(MOST_REDIRECTS + 1):
            if ask_robots:
                self._check_robots(session, url)
            answer, location = self._attempts(session, method, url, headers, body)
            if location is None:
                return answer
            onward = _resolved(url, location)
            if answer.status not in {307, 308}:
                method, body, headers = "GET", None, _without(headers, "content-type")
            if (stay_on_host or body is not None) and _origin(onward) != origin:
                raise NoValueError(
                    "login_elsewhere" if body is not None or method == "POST" else "bad_redirect"
                )
            if urlsplit(url).scheme == "https" and urlsplit(onward).scheme == "http":
                raise NoValueError("bad_redirect")
            url = onward
        raise NoValueError("bad_redirect")

    def _attempts(
        self, session: Session, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> tuple[Answer, str | None]:
        """Ask, again if that may help, and give the answer and where it leads to."""
        host = _origin(url)
        attempts = 1 if method == "POST" else ATTEMPTS
        for attempt in range(1, attempts + 1):
            if host in self._closed:
                raise NoValueError(self._closed[host])
            self._pace(host)
            last = attempt == attempts
            backoff = 2.0 ** (attempt - 1) * (0.5 + self.jitter())
            try:
                answer, location = self._once(session, method, url, headers, body)
            except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
                self._give_up_or_wait(host, "timeout", last, backoff, error)
                continue
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                self._give_up_or_wait(host, "unreachable", last, backoff, error)
                continue
            if answer.status not in RETRIED:
                _check_status(answer)
                return answer, location
            asked = self._retry_after(answer.headers)
            if asked > LONGEST_RETRY_AFTER or (last and answer.status == 429):
                # It asks for rest: no other target of this run disturbs it.
                self._closed[host] = "rate_limited" if answer.status == 429 else "bad_status"
            if last or asked > LONGEST_RETRY_AFTER:
                _check_status(answer)
            self.clock.sleep(max(asked, backoff))
        raise NoValueError("unreachable")

    def _give_up_or_wait(self, host: str, code: str, last: bool, seconds: float, error: Exception) -> None:
        if last:
            self._closed[host] = code
            raise NoValueError(code) from error
        self.clock.sleep(seconds)

    def _once(
        self, session: Session, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> tuple[Answer, str | None]:
        """Ask once, in a thread of its own: a server that sends its headers drop by drop keeps every other limit."""
        outcome: Queue[tuple[Answer, str | None] | Exception] = Queue()

        def ask() -> None:
            try:
                outcome.put(self._exchange(session, method, url, headers, body))
            except Exception as error:
                outcome.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            result = outcome.get(timeout=self.timeouts.whole)
        except Empty:
            raise requests.Timeout from None
        if isinstance(result, Exception):
            raise result
        return result

    def _exchange(
        self, session: Session, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> tuple[Answer, str | None]:
        started = time.monotonic()
        with session.request(
            method, url, headers=dict(headers or {}), data=body, stream=True, allow_redirects=False
        ) as response:
            location = response.headers.get("Location") if response.status_code in REDIRECTS else None
            content = b"" if location is not None else self._body(response, started)
            content_type = response.headers.get("Content-Type", "")
            page = Page(content, content_type, url)
            return Answer(response.status_code, response.headers, page), location

    def _body(self, response: requests.Response, started: float) -> bytes:
        """Read a body piece by piece, so that neither a huge nor an endless one holds the run up."""
        content = bytearray()
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            content += chunk
            if len(content) > LARGEST_BODY:
                raise NoValueError("too_large")
            if time.monotonic() - started > self.timeouts.whole:
                raise requests.Timeout
        if response.raw.length_remaining:
            raise requests.ConnectionError
        return _decoded(bytes(content), response.headers.get("Content-Encoding", ""))

    def _pace(self, host: str) -> None:
        """Wait until a second, or what robots.txt asks for, has passed since the last request there."""
        interval = SECONDS_BETWEEN_REQUESTS
        if host in self._robots:
            asked = self._robots[host].crawl_delay(PRODUCT) or 0.0
            interval = min(max(interval, asked), LONGEST_CRAWL_DELAY)
        last = self._last.get(host)
        if last is not None:
            waited = (self.clock.now() - last).total_seconds()
            if waited < interval:
                self.clock.sleep(min(interval - waited, interval))
        self._last[host] = self.clock.now()

    def _check_robots(self, session: Session, url: str) -> None:
        host = _origin(url)
        if host in self._closed:
            raise NoValueError(self._closed[host])
        if host not in self._robots:
            try:
                answer = self.fetch(session, f"{host}/robots.txt", ask_robots=False)
                text = answer.page.body[:LARGEST_ROBOTS].decode("utf-8", "replace")
            except NoValueError as error:
                if error.code in {"unreachable", "timeout", "rate_limited"}:
                    raise
                if error.code not in {"not_found", "unauthorized", "client_error"}:
                    self._closed[host] = "robots_unavailable"
                    raise NoValueError("robots_unavailable") from error
                text = ""
            self._robots[host] = Protego.parse(text)
        if not self._robots[host].can_fetch(url, PRODUCT):
            raise NoValueError("robots_disallowed")

    def _retry_after(self, headers: Mapping[str, str]) -> float:
        """Seconds that the server asks to wait for; 0 where it asks for none."""
        text = headers.get("Retry-After", "").strip()
        if text.isdecimal():
            return float(text)
        try:
            instant = parsedate_to_datetime(text)
        except ValueError:
            return 0.0
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=dt.UTC)
        return max(0.0, (instant - self.clock.now()).total_seconds())


def _no_authentication(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _decoded(content: bytes, encoding: str) -> bytes:
    """Unpack a body as far as it may go.

    What was cut off within is refused: half a page holds half of what is counted.
    """
    if encoding.strip().lower() in {"", "identity"} or not content:
        return content
    if encoding.strip().lower() not in {"gzip", "x-gzip"}:
        raise NoValueError("bad_encoding")
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = decoder.decompress(content, LARGEST_BODY + 1)
    except zlib.error as error:
        raise NoValueError("bad_encoding") from error
    if len(body) > LARGEST_BODY:
        raise NoValueError("too_large")
    if not decoder.eof:
        raise requests.ConnectionError
    return body


def _check_status(answer: Answer) -> None:
    status = answer.status
    if status < 400:
        if status >= 300 and status != 304 and status not in REDIRECTS:
            raise StatusError("bad_status", status)
        return
    codes = {
        401: "unauthorized",
        403: "unauthorized",
        404: "not_found",
        410: "not_found",
        429: "rate_limited",
    }
    raise StatusError(codes.get(status, "client_error" if status < 500 else "bad_status"), status)


class StatusError(NoValueError):
    """No value because of the answer's status."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.status = status


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _resolved(url: str, location: str) -> str:
    try:
        parts = urlsplit(urljoin(url, location))
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.username is None
    except ValueError:
        usable = False
    if not usable:
        raise NoValueError("bad_redirect")
    return urlunsplit(parts)


def _without(headers: Mapping[str, str] | None, name: str) -> dict[str, str]:
    return {key: value for key, value in (headers or {}).items() if key.lower() != name}
