"""The ASGI application: who may do what, what is taken, and when it is acknowledged."""

import datetime as dt
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pipelines.catalogue import read_metrics
from pipelines.errors import KpiError
from pipelines.inbox import Inbox
from pipelines.serve import bodies, openapi
from pipelines.serve.exports import ID, Exports
from pipelines.serve.refusals import Refusal
from pipelines.serve.tokens import Tokens
from pipelines.serve.writer import Writer
from pipelines.sources.events.canonical import Refused, parse_object, read_event
from pipelines.sources.events.instants import MICROSECONDS_A_DAY
from pipelines.sources.events.mapping import Mapping
from pipelines.sources.pushed.values import Unfit, accept
from pipelines.warehouse import Warehouse

Endpoint = Callable[[Request], Awaitable[Response]]

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
WORDS = {
    "malformed": "this is no JSON object as RFC 8259 has it",
    "incomplete": "this field is missing or cannot be read",
    "implausible": "this cannot have happened then: before 2000, or more than a day ahead",
}


class Service:
    """What the endpoints work with."""

    def __init__(self, warehouse: Warehouse, tokens: Tokens, mapping: Mapping) -> None:
        self._warehouse = warehouse
        self._zone = ZoneInfo(warehouse.reporting_timezone)
        self._tokens = tokens
        self._mapping = mapping
        self._inbox = Inbox(warehouse.inbox_folder)
        self._writer = Writer(self._inbox)
        self._exports = Exports(warehouse)
        self._last_instant = EPOCH

    def app(self) -> Starlette:
        """Make the application."""

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            self._writer.start()
            yield
            await self._writer.stop()

        return Starlette(
            routes=[
                Route("/metric_data", self.metric_data, methods=["POST"]),
                Route("/events", self.events, methods=["POST"]),
                Route("/export-kpi", self.export_kpi, methods=["POST"]),
                Route("/export-kpi/{export_id}", self.export, methods=["GET"]),
                Route("/healthz", self.healthz, methods=["GET"]),
                Route("/openapi.json", self.document, methods=["GET"]),
                Route("/docs", self.page, methods=["GET"]),
            ],
            exception_handlers={
                Refusal: _refused,
                HTTPException: _not_found,
                ClientDisconnect: _gone,
                Exception: _failed,
            },
            lifespan=lifespan,
        )

    async def metric_data(self, request: Request) -> Response:
        """Take values of pushed metrics: one object, an array of them, or one a line."""
        self._tokens.check(request.headers.get("authorization"), "push")
        body, content_type = await bodies.read_body(request, bodies.JSON, *bodies.JSON_LINES)
        try:
            metrics = read_metrics(self._warehouse.seeds_folder)
        except KpiError as error:
            raise Refusal(503, "no_catalogue", error.problem) from None
        found, lines = bodies.items(body, content_type), []
        taken: list[dict[str, str]] = []
        for number, item in enumerate(found):
            fields = bodies.read_object(item, number)
            try:
                value = accept(fields, metrics, self._now(), self._zone)
            except Unfit as unfit:
                raise Refusal(422, unfit.reason, unfit.words, field=unfit.field, item=number) from None
            lines.append(value.line())
            taken.append(
                {
                    "id": value.pushed_id,
                    "metric": value.metric_key,
                    "timestamp": value.measured_at.isoformat(),
                }
            )
        await self._writer.write("metric_values", lines)
        return JSONResponse({"accepted": len(taken), "values": taken}, 202)

    async def events(self, request: Request) -> Response:
        """Take events in the form that is configured for event files."""
        self._tokens.check(request.headers.get("authorization"), "push")
        body, content_type = await bodies.read_body(request, bodies.JSON, *bodies.JSON_LINES)
        lines = [
            self._event_line(item, number) for number, item in enumerate(bodies.items(body, content_type))
        ]
        await self._writer.write("events", lines)
        return JSONResponse({"accepted": len(lines)}, 202)

    def _event_line(self, item: bytes, number: int) -> bytes:
        """Check an event as a load will do, and say in it when it came."""
        now = self._now()
        try:
            content = parse_object(item)
            event = read_event(content, self._mapping)
            if event.occurred_at > (now - EPOCH) // dt.timedelta(microseconds=1) + MICROSECONDS_A_DAY:
                raise Refused("implausible", "occurred_at")
        except Refused as refused:
            raise Refusal(
                422, refused.reason, WORDS[refused.reason], field=refused.field, item=number
            ) from None
        paths = self._mapping.of("received_at")
        if event.received_at is None and paths and len(paths[0]) == 1 and paths[0][0] not in content:
            return b'{"%s":"%s",%s\n' % (paths[0][0].encode(), now.isoformat().encode(), item[1:])
        return item + b"\n"

    async def export_kpi(self, request: Request) -> Response:
        """Start `kpi run` for a day, or tell what became of the run that this idempotency key started."""
        self._tokens.check(request.headers.get("authorization"), "export")
        fields: dict[str, Any] = {}
        if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
            body, _ = await bodies.read_body(request, bodies.JSON)
            fields = bodies.read_object(body) if body.strip() else {}
        if strange := set(fields) - {"date"}:
            raise Refusal(
                422, "unknown_field", f"the body has the field date and no others, not {len(strange)} more"
            )
        date = fields.get("date")
        if date is not None and not isinstance(date, str):
            raise Refusal(422, "unreadable", "the date is not written as 2026-11-20", field="date")
        record, is_new = await self._exports.start(date, request.headers.get("idempotency-key"))
        is_over = not is_new and record["status"] in {"succeeded", "failed"}
        return JSONResponse(
            record, 200 if is_over else 202, {"Location": f"/export-kpi/{record['export_id']}"}
        )

    async def export(self, request: Request) -> Response:
        """Tell what became of a run."""
        self._tokens.check(request.headers.get("authorization"), "export")
        export_id = request.path_params["export_id"]
        record = self._exports.find(export_id) if ID.fullmatch(export_id) else None
        if record is None:
            raise Refusal(404, "unknown_export", "there is no export of this id")
        return JSONResponse(record)

    async def healthz(self, _request: Request) -> Response:
        """Say whether the server takes what is sent."""
        folder = self._inbox.folder
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        if not self._writer.is_well or not os.access(nearest, os.W_OK):
            return JSONResponse({"status": "the inbox cannot be written"}, 503)
        return JSONResponse({"status": "ok"})

    async def document(self, _request: Request) -> Response:
        """Give the OpenAPI document."""
        return JSONResponse(openapi.document())

    async def page(self, _request: Request) -> Response:
        """Give the OpenAPI document as a page for people."""
        return HTMLResponse(
            openapi.page(),
            headers={"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"},
        )

    def _now(self) -> dt.datetime:
        """The instant it is; never one twice, and never one before another, so that of two values one is the last."""
        self._last_instant = max(dt.datetime.now(dt.UTC), self._last_instant + dt.timedelta(microseconds=1))
        return self._last_instant


async def _refused(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, Refusal)
    return refusal.response()


async def _not_found(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: "there is nothing at this path; see /docs",
        405: "this path takes another method; see /docs",
    }
    return JSONResponse(
        {
            "error": "not_found" if error.status_code == 404 else "not_allowed",
            "message": words.get(error.status_code, error.detail),
        },
        error.status_code,
        error.headers,
    )


async def _gone(_request: Request, _error: Exception) -> Response:
    """Answer nobody: who asked has hung up."""
    return Response(status_code=400)


async def _failed(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "internal", "message": "the server failed; nothing was taken"}, 500)
