"""Runs the application under uvicorn, on a socket that is opened first so that its errors can be said."""

import logging
import socket
from collections.abc import Callable

import uvicorn

from pipelines.errors import KpiError, SettingError
from pipelines.serve.app import Service
from pipelines.serve.tokens import SETTINGS, read_tokens
from pipelines.sources.events import event_mapping
from pipelines.warehouse import Warehouse

MOST_REQUESTS = 1_000
"""Requests at a time; any more are told to come again."""
LONGEST_QUEUE = 1_024


def serve(warehouse: Warehouse, host: str, port: int, tell: Callable[[str], None]) -> None:
    """Answer requests until the process is asked to end. Port 0 takes any that is free.

    Raises SettingError where a setting cannot be used, KpiError where the address cannot be listened on.
    """
    tokens = read_tokens()
    service = Service(warehouse, tokens, event_mapping())
    listening = _listening(host, port)
    shown = f"[{host}]" if ":" in host else host
    tell(f"Listening on http://{shown}:{listening.getsockname()[1]} (what it takes: /docs)")
    tell(f"The inbox is {warehouse.inbox_folder}")
    for scope, name in SETTINGS.items():
        if not tokens.count(scope):
            tell(f"{name} is not set: nobody may {scope}.")
    config = uvicorn.Config(
        service.app(),
        access_log=False,
        log_level=logging.WARNING,
        server_header=False,
        limit_concurrency=MOST_REQUESTS,
        timeout_graceful_shutdown=10,
        lifespan="on",
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listening(host: str, port: int) -> socket.socket:
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        # Who comes from now on waits for the application, and is not turned away.
        found.listen(LONGEST_QUEUE)
    except socket.gaierror:
        raise SettingError(
            f"--host {host} is no address of this machine.", "Use 127.0.0.1 or 0.0.0.0."
        ) from None
    except (OSError, OverflowError) as error:
        raise KpiError(
            f"Nothing can listen on {host} port {port} ({getattr(error, 'strerror', None) or error}).",
            "Name another port: kpi serve --port PORT",
        ) from None
    return found
