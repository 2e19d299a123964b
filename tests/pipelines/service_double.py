"""A loopback HTTP service for tests: what it was asked, faults put in front of it, and a hook before each answer."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One answer; without a status the connection is closed instead."""

    status: int | None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Double:
    """Serves until the `with` block ends; subclasses say in `reply` what the service answers."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.faults: list[Reply] = []
        """Answers given, in order, in place of doing anything."""
        self.before_answer: Callable[[Asked, Reply], Reply] = lambda _asked, reply: reply
        """Called when a request has been done and is not answered yet."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def reply(self, asked: Asked) -> Reply:
        """Do what is asked."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def methods(self) -> list[str]:
        """Method and path of each request."""
        return [f"{asked.method} {asked.path}" for asked in self.asked]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                parts = urlsplit(self.path)
                query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
                content, files = _parsed(self.headers.get("Content-Type", ""), self.rfile.read(length))
                asked = Asked(self.command, parts.path, query, dict(self.headers.items()), content, files)
                with double._lock:
                    double.asked.append(asked)
                    reply = double.faults.pop(0) if double.faults else double.reply(asked)
                reply = double.before_answer(asked, reply)
                if reply.status is None:
                    self.close_connection = True
                    return
                body = b"" if reply.status == 204 else json.dumps(reply.body).encode()
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - as the library names them

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the library names it
                pass

        return Handler


def _parsed(content_type: str, body: bytes) -> tuple[Any, dict[str, bytes]]:
    """Read JSON, or the JSON and the files of a multipart body."""
    if not content_type.startswith("multipart/form-data"):
        return (json.loads(body) if body else None), {}
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body
    )
    content: Any = None
    files: dict[str, bytes] = {}
    for part in message.iter_parts():
        assert isinstance(part, EmailMessage)
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        name = part.get_param("name", header="content-disposition")
        if name == "payload_json":
            content = json.loads(payload)
        else:
            files[f"{name}={part.get_filename()}"] = payload
    return content, files
