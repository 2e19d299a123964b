"""The emulator's server, with what is different from BigQuery mended on the wire. Runs in the emulator's own environment.

    python shim.py --folder DATA --project NAME --log STATEMENTS.jsonl

Requests are rewritten before the emulator reads them, and answers after it wrote them:

1. The answer of a job that made a table of a query names the table (`destinationTable`), which dbt reads.
2. `set (x) = (select as struct …)` with one variable becomes `set x = (select …)`, which means the same.
3. Grants are taken and do nothing, and nobody has any: the emulator knows no rights.

What cannot be mended there is in mended.py.
Every statement stands in the log as it came, one JSON object a line. The port that was chosen is the first line of output.
It ends when its input does: whoever started it may be killed.
"""

import argparse
import gzip
import json
import os
import re
import socket
import sys
import threading
from pathlib import Path
from typing import Any

from mended import ask_less, keep_in_memory, load_as_bigquery_does, reckon_exactly  # type: ignore[import-not-found,unused-ignore]  # beside this file

STRUCT = re.compile(r"\bset\s*\(\s*(\w+)\s*\)\s*=\s*\(\s*select\s+as\s+struct\b", re.IGNORECASE)
GRANT = re.compile(r"(\s|/\*.*?\*/)*(grant|revoke)\s", re.IGNORECASE | re.DOTALL)
PRIVILEGES = re.compile(r"\bOBJECT_PRIVILEGES\b", re.IGNORECASE)
JOBS = re.compile(r"/projects/[^/]+/(jobs|queries)(/|$)")


def mended(statement: str) -> str:
    """The statement that the emulator gets."""
    if GRANT.match(statement):
        return "declare done bool"
    if PRIVILEGES.search(statement):
        return "select '' as privilege_type, '' as grantee from (select 1) where false"
    return STRUCT.sub(r"set \1 = (select", statement)


class Shim:
    """An ASGI application around the emulator's."""

    def __init__(self, application: Any, log: Path) -> None:
        self.application = application
        self.log = log.open("a", encoding="utf-8")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not JOBS.search(scope["path"]) or "/upload/" in scope["path"]:
            await self.application(scope, receive, send)
            return
        if scope["method"] == "POST":
            scope, receive = await self._request(scope, receive)
        begin: dict[str, Any] = {}
        body = bytearray()

        async def take(message: Any) -> None:
            if message["type"] == "http.response.start":
                begin.update(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body"):
                answer = named(bytes(body))
                headers = [each for each in begin["headers"] if each[0].lower() != b"content-length"]
                size = (b"content-length", str(len(answer)).encode())
                await send({**begin, "headers": [*headers, size]})
                await send({"type": "http.response.body", "body": answer})

        await self.application(scope, receive, take)

    async def _request(self, scope: Any, receive: Any) -> tuple[Any, Any]:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = dict(scope["headers"])
        if headers.pop(b"content-encoding", b"") == b"gzip":
            body = gzip.decompress(body)
        request = json.loads(body or b"{}")
        for holder in (request, request.get("configuration", {}).get("query", {})):
            if isinstance(holder.get("query"), str):
                self.log.write(json.dumps({"statement": holder["query"]}) + "\n")
                self.log.flush()
                holder["query"] = mended(holder["query"])
        body = json.dumps(request).encode()
        headers[b"content-length"] = str(len(body)).encode()
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Any:
            return next(messages, None) or await receive()

        return {**scope, "headers": list(headers.items())}, replay


def named(answer: bytes) -> bytes:
    """The answer, with the table that a job made."""
    try:
        job = json.loads(answer)
        made, query = job["statistics"]["query"]["ddlTargetTable"], job["configuration"]["query"]
    except (ValueError, KeyError, TypeError):
        return answer
    query.setdefault("destinationTable", made)
    return json.dumps(job).encode()


def main() -> None:
    """Serve until there is nobody left to serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--project", required=True)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    import uvicorn  # type: ignore[import-not-found,unused-ignore]
    from local_bigquery.settings import settings  # type: ignore[import-not-found,unused-ignore]

    settings.data_dir, settings.default_project_id = options.folder, options.project
    keep_in_memory()
    ask_less()
    reckon_exactly()
    load_as_bigquery_does()
    from local_bigquery import app  # type: ignore[import-not-found,unused-ignore]

    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(Shim(app, options.log), log_level="warning"))
    server.run([listening])


if __name__ == "__main__":
    main()
