"""`kpi serve` as its users have it: a process on a free port, and clients that go on until they are told that it is taken."""

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from command_support import House

PUSH = "push-canary-" + "p" * 32
EXPORT = "export-canary-" + "e" * 32
TOKENS = {"KPI_PUSH_TOKENS": PUSH, "KPI_EXPORT_TOKENS": EXPORT}
SECONDS = 60.0


@dataclass
class Server:
    """One server of a house, which can be killed and started again on the same port."""

    house: House
    port: int = 0
    process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.process = self.house.start("serve", "--port", str(self.port), **TOKENS)
        assert self.process.stderr
        first = self.process.stderr.readline()
        assert first.startswith("Listening on http://127.0.0.1:"), first + self.process.stderr.read()
        self.port = int(first.split()[2].rpartition(":")[2])

    def kill(self) -> None:
        """End it as suddenly as can be."""
        assert self.process
        self.process.kill()
        self.process.communicate()

    def ask(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Send one request; give the status and what the answer says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        try:
            return send(connection, method, path, body, token, headers)
        finally:
            connection.close()


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any,
    token: str | None,
    headers: Mapping[str, str],
) -> tuple[int, Any]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given |= {"Content-Type": "application/json"}
    if token:
        given |= {"Authorization": f"Bearer {token}"}
    connection.request(method, path, None if body is None else json.dumps(body), given)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


@contextmanager
def serving(house: House) -> Iterator[Server]:
    """A server that listens, until the end of the block."""
    server = Server(house)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@dataclass
class Clients:
    """Some clients at once that push numbered values and events, each again under its id until it is acknowledged."""

    server: Server
    requests: int
    clients: int
    acknowledged: list[int] = field(default_factory=list)
    refused: list[tuple[int, Any]] = field(default_factory=list)

    def start(self) -> list[threading.Thread]:
        """Let them begin."""
        threads = [
            threading.Thread(target=self._push, args=(number,), daemon=True) for number in range(self.clients)
        ]
        for thread in threads:
            thread.start()
        return threads

    def _push(self, first: int) -> None:
        connection: http.client.HTTPConnection | None = None
        for number in range(first, self.requests, self.clients):
            path, body = request_of(number)
            until = time.monotonic() + SECONDS
            while time.monotonic() < until:
                connection = connection or http.client.HTTPConnection(
                    "127.0.0.1", self.server.port, timeout=SECONDS
                )
                try:
                    status, answer = send(connection, "POST", path, body, PUSH, {})
                except (OSError, http.client.HTTPException):
                    # Killed, or not there again: whether it was taken is not known.
                    connection.close()
                    connection = None
                    time.sleep(0.02)
                    continue
                if status == 202:
                    self.acknowledged.append(number)
                else:
                    self.refused.append((status, answer))
                break
        if connection:
            with suppress(OSError):
                connection.close()


def request_of(number: int) -> tuple[str, Any]:
    """Every fourth request is an event, all others are values."""
    if number % 4 == 3:
        return "/events", {
            "event_id": f"e{number}",
            "event_key": "account_created",
            "user_id": number,
            "occurred_at": "2026-03-02T08:00:00Z",
        }
    return "/metric_data", {
        "metric": "support_tickets",
        "value": number,
        "timestamp": f"2026-03-02T08:{number // 60 % 60:02d}:{number % 60:02d}.{number:06d}Z",
        "id": f"v{number}",
    }
