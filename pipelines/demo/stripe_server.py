"""A loopback Stripe: the part of Stripe's HTTP API that is read here, over an account in memory.

    with StripeServer() as stripe:
        customer = stripe.account.add_customer(name="…")
        …  # SOURCES__STRIPE__BASE_URL=stripe.base_url, SOURCES__STRIPE__API_KEY=stripe.api_key

Lists, cursors, filters, limits, embedded lists, versions, keys and error bodies behave as Stripe documents them.
`faults` lets single requests fail; `requests` remembers what was asked, without keys.
"""

import base64
import binascii
import json
import operator
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pipelines.demo.stripe_account import KINDS, StripeAccount, StripeObject
from pipelines.demo.stripe_versions import NEWEST, expandable, shown

MOST_ROWS = 100
COMMON = {"limit", "starting_after", "ending_before"}
FILTERS = {
    "invoices": {"created", "customer", "status", "subscription", "collection_method"},
    "customers": {"created", "email"},
    "subscriptions": {"created", "customer", "status", "price", "collection_method"},
    "products": {"created", "active", "ids"},
    "prices": {"created", "active", "currency", "product", "type"},
    "coupons": {"created"},
    "invoice_payments": {"created", "invoice", "status"},
    "credit_notes": {"created", "customer", "invoice"},
    "refunds": {"created", "charge", "payment_intent"},
    "balance_transactions": {"created", "currency", "source", "type"},
    "events": {"created", "type", "types"},
    "subscription_items": {"subscription"},
    "lines": set(),
}
MOST_TYPES = 20
DEEPEST = 4
COMPARISONS: dict[str | None, Callable[[int, int], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    None: operator.eq,
}
PERMISSION = {
    "invoices": "rak_invoice_read",
    "customers": "rak_customer_read",
    "subscriptions": "rak_subscription_read",
    "subscription_items": "rak_subscription_read",
    "products": "rak_product_read",
    "prices": "rak_plan_read",
    "coupons": "rak_coupon_read",
    "invoice_payments": "rak_invoice_payment_read",
    "credit_notes": "rak_credit_note_read",
    "refunds": "rak_charge_read",
    "balance_transactions": "rak_balance_transaction_read",
    "events": "rak_event_read",
}


@dataclass
class Fault:
    """Something that goes wrong with the next requests whose path contains `path`.

    `status` answers with that error; `drop` closes the connection without an answer; `truncate` sends half of the
    true answer; `garbage` sends 200 and no JSON.
    """

    path: str = ""
    times: int = 1
    status: int | None = None
    retry_after: float | str | None = None
    drop: bool = False
    truncate: bool = False
    garbage: bool = False


@dataclass(frozen=True)
class Asked:
    """One request as it came in. The key is left out."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    version: str


class Refused(Exception):  # noqa: N818 - an answer, not a failure of the server
    """An error in Stripe's form."""

    def __init__(self, status: int, message: str, **fields: str) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": "invalid_request_error", **fields}}


@dataclass
class StripeServer:
    """Serves one account on 127.0.0.1 while it is entered.

    `keys` maps each valid key to the resources it may read, None meaning all of them.
    """

    account: StripeAccount = field(default_factory=StripeAccount)
    default_version: str = NEWEST
    keys: dict[str, frozenset[str] | None] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    before_answer: Callable[[Asked], None] | None = None
    """Called with each request before it is answered, so that objects can change between pages."""

    def __post_init__(self) -> None:
        mode = "live" if self.account.livemode else "test"
        self.api_key = f"sk_{mode}_loopback0000000000"
        self.keys.setdefault(self.api_key, None)
        self._lock = Lock()
        self._server: _Listener | None = None

    def __enter__(self) -> Self:
        handler = type("Handler", (_Handler,), {"stripe": self})
        self._server = _Listener(("127.0.0.1", 0), handler)
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def base_url(self) -> str:
        """Where it listens, such as http://127.0.0.1:40123."""
        assert self._server is not None, "enter the server first"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def restricted_key(self, *resources: str) -> str:
        """Make a key that may read only these resources."""
        mode = "live" if self.account.livemode else "test"
        key = f"rk_{mode}_loopback{len(self.keys):010d}"
        self.keys[key] = frozenset(resources)
        return key

    def fault_for(self, path: str) -> Fault | None:
        """Take the first fault that is meant for this path, if there is one."""
        with self._lock:
            for fault in self.faults:
                if fault.path in path and fault.times > 0:
                    fault.times -= 1
                    return fault
        return None

    def answer(self, asked: Asked, authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Answer a request: HTTP status and body."""
        try:
            allowed = self._allowed(authorization)
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?", asked.version):
                raise Refused(400, f"Invalid Stripe API version: {asked.version}")
            if asked.method != "GET":
                raise Refused(404, f"Unrecognized request URL ({asked.method}: {asked.path}).")
            with self.account.lock:
                return HTTPStatus.OK, self._route(asked, allowed)
        except Refused as refused:
            return refused.status, refused.body

    # -- what is asked -------------------------------------------------------------------------

    def _allowed(self, authorization: str | None) -> frozenset[str] | None:
        scheme, _, value = (authorization or "").partition(" ")
        key = value.strip()
        if scheme.lower() == "basic":
            try:
                key = base64.b64decode(key, validate=True).decode().partition(":")[0]
            except (binascii.Error, UnicodeDecodeError):
                key = ""
        elif scheme.lower() != "bearer":
            key = ""
        if not key:
            raise Refused(401, "You did not provide an API key.")
        if key not in self.keys:
            raise Refused(401, f"Invalid API Key provided: {key[:8]}{'*' * 8}{key[-4:]}")
        return self.keys[key]

    def _route(self, asked: Asked, allowed: frozenset[str] | None) -> dict[str, Any]:
        parts = asked.path.strip("/").split("/")
        resource = parts[1] if len(parts) > 1 and parts[0] == "v1" else ""
        if resource not in {*KINDS, "subscription_items"}:
            raise Refused(404, f"Unrecognized request URL (GET: {asked.path}).")
        readable = "subscriptions" if resource == "subscription_items" else resource
        if allowed is not None and readable not in allowed:
            raise _forbidden(resource)
        query = dict(asked.query)
        asks = _Asks(resource, asked.version, allowed, self._expand(asked))
        match parts[2:]:
            case []:
                rows = (
                    self._items(query)
                    if resource == "subscription_items"
                    else self._filtered(resource, query, asked)
                )
                return self._page(rows, query, asked, asks)
            case [object_id] if resource in KINDS:
                found = self._found(resource, unquote(object_id))
                return shown(resource, found, asked.version, asks.paths(""))
            case [object_id, "lines"] if resource == "invoices":
                rows = self._found(resource, object_id)["lines"]
                return self._page(rows, query, asked, replace(asks, resource="lines"))
        raise Refused(404, f"Unrecognized request URL (GET: {asked.path}).")

    def _expand(self, asked: Asked) -> tuple[str, ...]:
        return tuple(value for name, value in asked.query if re.fullmatch(r"expand\[\d*\]", name))

    def _found(self, resource: str, object_id: str) -> StripeObject:
        found = self.account.get(resource, object_id)
        if found is None:
            raise Refused(
                404, f"No such {KINDS[resource]}: '{object_id}'", code="resource_missing", param="id"
            )
        return found

    def _items(self, query: Mapping[str, str]) -> list[StripeObject]:
        if "subscription" not in query:
            raise Refused(
                400, "Missing required param: subscription.", code="parameter_missing", param="subscription"
            )
        items: list[StripeObject] = self._found("subscriptions", query["subscription"])["items"]
        return items

    def _filtered(self, resource: str, query: Mapping[str, str], asked: Asked) -> list[StripeObject]:
        rows = self.account.listed(resource)
        for name, value in query.items():
            match = re.fullmatch(r"created(?:\[(gte|gt|lte|lt)\])?", name)
            if match:
                bound, holds = _whole(name, value), COMPARISONS[match[1]]
                rows = [row for row in rows if holds(row["created"], bound)]
            elif name == "subscription" and resource == "invoices":
                rows = [row for row in rows if _subscription(row) == value]
            elif name == "type" and resource == "events":
                rows = [row for row in rows if fnmatchcase(row["type"], value)]
            elif name in {
                "customer",
                "currency",
                "product",
                "type",
                "email",
                "collection_method",
                "invoice",
            } | {
                "source",
                "charge",
                "payment_intent",
            }:
                rows = [row for row in rows if row.get(name) == value]
            elif name == "active":
                rows = [row for row in rows if row["active"] == (value == "true")]
            elif name == "status" and resource in {"invoices", "invoice_payments"}:
                rows = [row for row in rows if row["status"] == value]
        types = [value for name, value in asked.query if re.fullmatch(r"types\[\d*\]", name)]
        if len(types) > MOST_TYPES:
            raise Refused(400, f"You may only specify up to {MOST_TYPES} types.", param="types")
        if types:
            rows = [row for row in rows if row["type"] in types]
        ids = [value for name, value in asked.query if re.fullmatch(r"ids\[\d*\]", name)]
        if ids:
            rows = [row for row in rows if row["id"] in ids]
        if resource == "prices" and "active" not in query:
            # Stripe's own default.
            rows = [row for row in rows if row["active"]]
        if resource == "subscriptions":
            rows = [row for row in rows if _has_status(row["status"], query.get("status"))]
        return rows

    def _page(
        self, rows: list[StripeObject], query: Mapping[str, str], asked: Asked, asks: "_Asks"
    ) -> dict[str, Any]:
        resource = asks.resource
        for name in query:
            if name.partition("[")[0] not in FILTERS[resource] | COMMON | {"expand"}:
                raise Refused(
                    400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name
                )
        limit = _whole("limit", query.get("limit", "10"))
        if not 1 <= limit <= MOST_ROWS:
            raise Refused(400, f"This value must be between 1 and {MOST_ROWS}.", param="limit")
        if "starting_after" in query and "ending_before" in query:
            raise Refused(400, "You can only specify one of these parameters: ending_before, starting_after.")
        if "ending_before" in query:
            end = self._position(resource, rows, query["ending_before"], "ending_before")
            page, more = rows[max(end - limit, 0) : end], end > limit
        else:
            start = 0
            if "starting_after" in query:
                start = self._position(resource, rows, query["starting_after"], "starting_after") + 1
            page, more = rows[start : start + limit], len(rows) > start + limit
        paths = asks.paths("data.")
        data = [shown(resource, row, asked.version, paths) for row in page]
        return {"object": "list", "url": asked.path, "has_more": more, "data": data}

    def _position(self, resource: str, rows: list[StripeObject], cursor: str, param: str) -> int:
        for position, row in enumerate(rows):
            if row["id"] == cursor:
                return position
        if resource in KINDS and (known := self.account.get(resource, cursor)) and "created" in known:
            # A cursor that the filters leave out still has its place in time.
            return next(
                (place for place, row in enumerate(rows) if row["created"] <= known["created"]), len(rows)
            ) - (param == "starting_after")
        kind = KINDS.get(resource, resource.removesuffix("s"))
        raise Refused(400, f"No such {kind}: '{cursor}'", code="resource_missing", param=param)


@dataclass(frozen=True)
class _Asks:
    """What a request wants to see expanded, and as whom."""

    resource: str
    version: str
    allowed: frozenset[str] | None
    expand: tuple[str, ...]

    def paths(self, prefix: str) -> frozenset[str]:
        """The paths within one object, checked."""
        known = expandable(self.resource, self.version)
        for path in self.expand:
            inner = path.removeprefix(prefix)
            if not path.startswith(prefix) or inner not in known or path.count(".") >= DEEPEST:
                raise Refused(400, f"This property cannot be expanded ({path}).", param="expand")
            needed = known[inner]
            if needed and self.allowed is not None and needed not in self.allowed:
                raise _forbidden(needed)
        return frozenset(path.removeprefix(prefix) for path in self.expand)


def _forbidden(resource: str) -> Refused:
    return Refused(
        403,
        "The provided key 'rk_*********' does not have the required permissions for this endpoint. "
        f"Having the '{PERMISSION[resource]}' permission would allow this request to continue.",
    )


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that went away."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    stripe: StripeServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = Asked(
            self.command,
            parts.path,
            tuple(parse_qsl(parts.query, keep_blank_values=True)),
            self.headers.get("Stripe-Version") or self.stripe.default_version,
        )
        self.stripe.requests.append(asked)
        if self.stripe.before_answer:
            self.stripe.before_answer(asked)
        fault = self.stripe.fault_for(parts.path)
        if fault and fault.drop:
            self.close_connection = True
            return
        if fault and fault.status:
            self._send(fault.status, json.dumps(_failure(fault.status)).encode(), fault.retry_after)
            return
        if fault and fault.garbage:
            self._send(HTTPStatus.OK, b"<html>upstream connect error</html>", None)
            return
        status, body = self.stripe.answer(asked, self.headers.get("Authorization"))
        self._send(status, json.dumps(body).encode(), None, cut=bool(fault and fault.truncate))

    do_POST = do_GET  # noqa: N815
    do_DELETE = do_GET  # noqa: N815

    def _send(self, status: int, body: bytes, retry_after: float | str | None, *, cut: bool = False) -> None:
        head = [
            f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Request-Id: req_{len(self.stripe.requests):012d}",
        ]
        if retry_after is not None:
            head.append(f"Retry-After: {retry_after}")
        if cut:
            self.close_connection = True
            body = body[: len(body) // 2]
        # One write: head and body apart would wait for each other's acknowledgement.
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the requests are remembered."""


def _failure(status: int) -> dict[str, Any]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        error = {
            "message": "Request rate limit exceeded.",
            "type": "invalid_request_error",
            "code": "rate_limit",
        }
    elif status == HTTPStatus.CONFLICT:
        error = {"message": "This object cannot be accessed right now.", "type": "invalid_request_error"}
        error["code"] = "lock_timeout"
    else:
        error = {"message": "An error occurred on our side.", "type": "api_error"}
    return {"error": error}


def _whole(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d+", value):
        raise Refused(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)


def _has_status(status: str, asked: str | None) -> bool:
    if asked is None:
        return status != "canceled"
    if asked == "ended":
        return status in {"canceled", "incomplete_expired"}
    return asked in {"all", status}


def _subscription(row: StripeObject) -> str | None:
    details = (row["parent"] or {}).get("subscription_details") or {}
    return details.get("subscription")
