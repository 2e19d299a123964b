"""A loopback web site whose figures are scraped: by the demo company, and by the tests with faults put in.

    with PageServer() as site:
        site.figures["subscribers"] = 1_250
        site.inject("/about", status=503, headers={"Retry-After": "1"}, times=2)

It serves a page with a figure, JSON in the form of GitHub, PyPI statistics, npm and Discord, an RSS and an
Atom feed, and a page behind a login form with a token and cookies. Every request is in `site.requests`.
"""

import datetime as dt
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

DEMO_FIGURES = {
    "subscribers": 1_250,
    "stars": 412,
    "forks": 37,
    "downloads": 5_310,
    "members": 268,
    "online": 41,
    "episodes": 24,
    "plays": 18_204,
}


@dataclass(frozen=True)
class Request:
    """What the server was asked."""

    method: str
    path: str
    headers: Mapping[str, str]
    at: dt.datetime


@dataclass(frozen=True)
class Reply:
    """What it answers."""

    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Seconds before the answer."""


@dataclass
class _Fault:
    reply: Reply
    times: int | None


class PageServer:
    """The site. `clock` gives the instants in `requests`, so that a test's own clock can be read there."""

    username = "listener"
    password = "demo-only"  # noqa: S105 - a made-up site's made-up account

    def __init__(self, clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self.figures = dict(DEMO_FIGURES)
        self.requests: list[Request] = []
        self.robots: str | None = "User-agent: *\nDisallow: /private/\n"
        self.validators = True
        """Whether answers carry an ETag and unchanged ones are 304."""
        self._clock = clock
        self._faults: dict[str, _Fault] = {}
        self._tokens: set[str] = set()
        self._sessions: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """The site's base address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def inject(
        self,
        path: str,
        body: bytes | str = b"",
        *,
        content_type: str = "text/html; charset=utf-8",
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> None:
        """Answer a path with this from now on, or so many times."""
        content = body.encode() if isinstance(body, str) else body
        self._faults[path] = _Fault(Reply(content, content_type, status, headers or {}, delay), times)

    def mend(self, path: str) -> None:
        """Answer a path properly again."""
        self._faults.pop(path, None)

    def paths(self) -> list[str]:
        """The paths asked for, in order."""
        return [request.path for request in self.requests]

    def _fault(self, path: str) -> Reply | None:
        fault = self._faults.get(path)
        if fault is None:
            return None
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.mend(path)
        return fault.reply

    def _reply(self, path: str, cookie: str) -> Reply:
        if path == "/robots.txt":
            return Reply(status=404) if self.robots is None else Reply(self.robots.encode(), "text/plain")
        if path == "/login":
            return self._login_page()
        if path == "/statistics":
            return self._statistics(cookie)
        return _public(path, self.figures)

    def _login_page(self, problem: str = "") -> Reply:
        token = secrets.token_hex(8)
        self._tokens.add(token)
        return Reply(
            f"""<!doctype html><title>Sign in</title>
            <form action="/search"><input name="q"></form>
            <form action="/login" method="post"><p>{html.escape(problem)}</p>
            <input type="hidden" name="csrf" value="{token}">
            <input name="account"><input type="password" name="passphrase">
            <button name="go" value="in">Sign in</button></form>""".encode(),
            headers={"Set-Cookie": f"csrf={token}; Path=/; HttpOnly", "Cache-Control": "no-store"},
        )

    def _sign_in(self, body: str, cookie: str) -> Reply:
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        token = fields.get("csrf", "")
        if token not in self._tokens or _cookie(cookie, "csrf") != token or fields.get("go") != "in":
            return Reply(b"<!doctype html>The form has expired.", status=403)
        self._tokens.discard(token)
        if (fields.get("account"), fields.get("passphrase")) != (self.username, self.password):
            return self._login_page("Wrong name or passphrase.")
        session = secrets.token_hex(8)
        self._sessions.add(session)
        return Reply(status=302, headers={"Location": "/home", "Set-Cookie": f"session={session}; Path=/"})

    def _statistics(self, cookie: str) -> Reply:
        if _cookie(cookie, "session") not in self._sessions:
            return self._login_page()
        plays = f"{self.figures['plays']:,}"
        return Reply(f"<!doctype html><table><td class='plays'>{plays}</td></table>".encode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Stay silent."""

            def _answer(self) -> None:
                path = urlsplit(self.path).path
                site.requests.append(Request(self.command, path, dict(self.headers), site._clock()))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                cookie = self.headers.get("Cookie", "")
                reply = site._fault(path)
                if reply is None and self.command == "POST":
                    reply = site._sign_in(body, cookie) if path == "/login" else Reply(status=405)
                self._send(reply if reply is not None else site._reply(path, cookie))

            def _send(self, reply: Reply) -> None:
                if reply.delay:
                    time.sleep(reply.delay)
                tag = f'"{hashlib.sha256(reply.body).hexdigest()[:16]}"'
                validated = site.validators and reply.status == 200 and "Set-Cookie" not in reply.headers
                unchanged = validated and self.headers.get("If-None-Match") == tag
                self.send_response(304 if unchanged else reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if validated:
                    self.send_header("ETag", tag)
                if not unchanged:
                    self.send_header("Content-Type", reply.content_type)
                    if "Content-Length" not in reply.headers:
                        self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                try:
                    self.wfile.write(b"" if unchanged else reply.body)
                except OSError:
                    # The other side has had enough.
                    self.close_connection = True
                if "Content-Length" in reply.headers:
                    self.close_connection = True

        return Handler


def _cookie(header: str, name: str) -> str | None:
    morsel = SimpleCookie(header).get(name)
    return None if morsel is None else morsel.value


def _public(path: str, figures: Mapping[str, int]) -> Reply:
    """Answer what needs no login."""
    if path == "/about":
        return Reply(
            f"""<!doctype html><html lang="en"><title>The newsletter</title>
            <h1>The newsletter</h1><p>Read by <b id="subscribers">{figures["subscribers"]:,}</b> people.</p>
            <meta name="subscribers" content="{figures["subscribers"]}">
            <ul>{"<li class='issue'>An issue</li>" * 7}</ul></html>""".encode()
        )
    if path == "/home":
        return Reply(b"<!doctype html><h1>Welcome</h1>")
    answers = _api_answers(figures)
    if path in answers:
        return Reply(json.dumps(answers[path]).encode(), "application/json")
    if path == "/feed.xml":
        items = "".join(f"<item><title>Episode {n}</title></item>" for n in range(figures["episodes"]))
        return Reply(f"<rss version='2.0'><channel>{items}</channel></rss>".encode(), "application/rss+xml")
    if path == "/atom.xml":
        entries = "".join(f"<entry><title>Post {n}</title></entry>" for n in range(figures["episodes"]))
        feed = f"<feed xmlns='http://www.w3.org/2005/Atom'>{entries}</feed>"
        return Reply(feed.encode(), "application/atom+xml")
    return Reply(b"<!doctype html>Not found", status=404)


def _api_answers(figures: Mapping[str, int]) -> dict[str, object]:
    downloads = figures["downloads"]
    return {
        "/repos/acme/reader": {"stargazers_count": figures["stars"], "forks_count": figures["forks"]},
        "/packages/acme-reader/recent": {
            "data": {"last_day": downloads, "last_week": downloads * 7, "last_month": downloads * 30},
            "package": "acme-reader",
            "type": "recent_downloads",
        },
        **{
            f"/downloads/point/{period}/{name}": {"downloads": downloads * days, "package": name}
            for period, days in (("last-day", 1), ("last-week", 7), ("last-month", 30))
            for name in ("acme-reader", "@acme/reader")
        },
        "/invites/acme": {
            "approximate_member_count": figures["members"],
            "approximate_presence_count": figures["online"],
        },
        "/guilds/1234/widget.json": {"presence_count": figures["online"]},
        "/data.json": {"data": {"total": figures["subscribers"], "items": [1, 2, 3]}},
    }
