"""HTTP with a service that limits rates: waits when told to, repeats only what is safe to repeat, shows no secret.

One service keeps a run waiting for `patience` seconds in all, however many requests there are: PATIENCE, unless
DIGEST__PATIENCE_SECONDS says otherwise. Each wait is shown.

Addresses and headers hold secrets here, so no error of the HTTP library is ever shown or chained: people read the
service's name, the status and the service's own code.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from pipelines.errors import KpiError

ATTEMPTS = 6
PATIENCE = 120.0
_LONGEST_PAUSE = 16.0
_SECONDS = (10.0, 60.0)
_REFUSED_FOR_NOW = {429, 529}
# 409 is a collision of two writes.
_FAILED = {409, 500, 502, 503, 504}


@dataclass(frozen=True)
class File:
    """A file of a multipart request."""

    field: str
    name: str
    content: bytes
    content_type: str


@dataclass(frozen=True)
class Request:
    """One request, without the service's address and without secrets: what a dry run shows."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    files: tuple[File, ...] = ()

    def shown(self, address: str) -> str:
        """Show the request as it is sent to an address without secrets; of a file its name and size."""
        lines = [f"{self.method} {address}{self.path}"]
        if self.body is not None:
            lines.append(json.dumps(self.body, indent=2, ensure_ascii=False))
        lines += [
            f"{file.field}: {file.name} ({file.content_type}, {len(file.content):,} bytes)"
            for file in self.files
        ]
        return "\n".join(lines)


class RefusedError(Exception):
    """The service answered that it did not do it: status, its own code, its own words."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.words = words

    def __str__(self) -> str:
        return f"status {self.status}{f', {self.code}' if self.code else ''}"


class UncertainError(Exception):
    """No usable answer: whether the service did it is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


@dataclass
class Exchange:
    """Talks to one service."""

    service: str
    base_url: str
    """The address before the path of a request; it may hold a secret."""
    headers: Mapping[str, str] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    progress: Callable[[str], None] = lambda _: None
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        self._session = requests.Session()
        # Given one, requests does not look for a password of the host's in ~/.netrc.
        self._session.auth = _no_authentication
        self._session.headers.update(self.headers)

    def send(self, request: Request) -> dict[str, Any]:
        """Send a request and give the answer's JSON object; a list is its `items`.

        One that the service refuses for now is sent again when the service says; one that fails is sent again
        unless it creates something, which it may have done; neither of them more often than patience allows.
        Raises RefusedError for an answer that it was not done, UncertainError where that is not known.
        """
        creates = request.method == "POST" and not request.path.endswith("/query")
        for attempt in range(1, ATTEMPTS + 1):
            pause = min(2.0 ** (attempt - 1), _LONGEST_PAUSE)
            begun = time.monotonic()
            try:
                response = self._once(request)
            except requests.RequestException as error:
                self.patience -= time.monotonic() - begun
                # Where nobody listened, nothing was done.
                unheard = _never_reached(error)
                lost = (
                    "connection lost" if isinstance(error, requests.ConnectionError) else "no answer in time"
                )
                why = "no connection" if unheard else lost
                if attempt == ATTEMPTS or pause > self.patience or (creates and not unheard):
                    raise UncertainError(why) from None
            else:
                last = attempt == ATTEMPTS or pause > self.patience
                why = f"status {response.status_code}"
                if response.status_code in _REFUSED_FOR_NOW and attempt < ATTEMPTS:
                    self._wait(_asked(response), why)
                    continue
                if response.status_code not in _FAILED or creates or last:
                    return _answer(response)
                pause = _asked(response) or pause
            self._wait(pause, why)
        raise AssertionError("the last attempt gives or raises")

    def _once(self, request: Request) -> requests.Response:
        url = f"{self.base_url}{request.path}"
        if not request.files:
            return self._session.request(
                request.method, url, json=request.body, timeout=_SECONDS, allow_redirects=False
            )
        parts: list[tuple[str, Any]] = [
            ("payload_json", (None, json.dumps(request.body), "application/json")),
            *((file.field, (file.name, file.content, file.content_type)) for file in request.files),
        ]
        return self._session.request(
            request.method, url, files=parts, timeout=_SECONDS, allow_redirects=False
        )

    def _wait(self, seconds: float, why: str) -> None:
        if seconds > self.patience:
            raise KpiError(
                f"{self.service} asks to wait {seconds:,.0f} seconds before the next request, longer than this run waits.",
                "Start the same command again then: it goes on from where it stopped. DIGEST__PATIENCE_SECONDS is how "
                "long one service may keep a run waiting in all.",
            )
        self.patience -= seconds
        self.progress(f"{self.service}: {why}, trying again in {seconds:,.1f} s")
        self.sleep(seconds)


def checked_url(url: str) -> bool:
    """Tell whether secrets may be sent to an address: https, or this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.username is not None or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and host in {"127.0.0.1", "localhost", "::1"})


def _no_authentication(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _never_reached(error: requests.RequestException) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError"}


def _asked(response: requests.Response) -> float:
    """Seconds that the service asks to wait: in its JSON (exact), else in the header; one where it says nothing."""
    seconds = _json(response).get("retry_after") or response.headers.get("Retry-After")
    try:
        return max(0.0, float(str(seconds)))
    except ValueError:
        return 1.0 if response.status_code in _REFUSED_FOR_NOW else 0.0


def _answer(response: requests.Response) -> dict[str, Any]:
    content = _json(response)
    status = response.status_code
    if 200 <= status < 300:
        if status != 204 and not content:
            raise UncertainError("an answer that is no JSON object")
        return content
    if status in _FAILED:
        raise UncertainError(f"status {status}")
    words = content.get("message")
    raise RefusedError(status, str(content.get("code", "")), words if isinstance(words, str) else "")


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        return {}
    if isinstance(content, list):
        return {"items": content}
    return content if isinstance(content, dict) else {}
