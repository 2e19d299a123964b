"""Reads a request's body and cuts it into items: one JSON object, an array of them, or one a line."""

import asyncio
import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request

from pipelines.serve.refusals import Refusal

LARGEST_BODY = 1 << 20
SECONDS = 30.0
"""For a body to arrive."""
JSON = "application/json"
JSON_LINES = ("application/x-ndjson", "application/jsonl")


async def read_body(request: Request, *types: str) -> tuple[bytes, str]:
    """Give the body and its type. Raises Refusal where it is of another type (415), too large (413) or too slow (408)."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in types:
        raise Refusal(415, "content_type", f"send the header Content-Type: {' or '.join(types)}")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Refusal(415, "content_encoding", "send the body as it is, without Content-Encoding")
    too_large = Refusal(
        413, "too_large", f"the body is larger than {LARGEST_BODY:,} bytes; send less at once"
    )
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length[:20]) > LARGEST_BODY:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise too_large
    except TimeoutError:
        raise Refusal(
            408,
            "too_slow",
            f"the body did not arrive within {SECONDS:.0f} seconds",
            headers={"Connection": "close"},
        ) from None
    return bytes(body), content_type


def items(body: bytes, content_type: str) -> list[bytes]:
    """Cut a body into the texts of its items, each on one line and otherwise as it was sent.

    Raises Refusal where the body is no UTF-8 or no JSON, or where there is no item in it.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(422, "malformed", "the body is not in UTF-8") from None
    if content_type == JSON:
        found = (
            list(_array(text))
            if text.lstrip(_BLANK).startswith("[")
            else [text]
            if text.strip(_BLANK)
            else []
        )
    else:
        found = [line for line in text.split("\n") if line.strip(_BLANK)]
    if not found:
        raise Refusal(422, "empty", "there is nothing in the body")
    # In JSON a line feed can stand only between parts; inside texts it is written \n.
    return [item.strip(_BLANK).replace("\n", " ").replace("\r", " ").encode() for item in found]


def read_object(item: bytes, number: int | None = None) -> dict[str, Any]:
    """Read one item as an object; numbers are Decimals, NaN and the infinities included. Raises Refusal."""
    try:
        value = _READER.decode(item.decode())
    except (ValueError, RecursionError) as error:
        what = "uses a name twice" if isinstance(error, _TwiceError) else "is no JSON"
        raise Refusal(422, "malformed", f"this {what}", item=number) from None
    if not isinstance(value, dict):
        raise Refusal(422, "malformed", "this is JSON, but no object", item=number)
    return value


_BLANK = " \t\r\n"


class _TwiceError(ValueError):
    """An object in which a name stands twice: what it means is anybody's guess."""


def _array(text: str) -> Iterable[str]:
    position = text.index("[") + 1
    while True:
        position = _skipped(text, position)
        if text[position : position + 1] == "]" and text[:position].rstrip(_BLANK)[-1] == "[":
            break
        try:
            _, end = _SPLITTER.raw_decode(text, position)
        except (ValueError, RecursionError):
            raise Refusal(422, "malformed", "the body is no JSON") from None
        yield text[position:end]
        position = _skipped(text, end)
        if text[position : position + 1] == "]":
            break
        if text[position : position + 1] != ",":
            raise Refusal(422, "malformed", "the body is no JSON")
        position += 1
    if text[position + 1 :].strip(_BLANK):
        raise Refusal(422, "malformed", "the body is no JSON")


def _skipped(text: str, position: int) -> int:
    while text[position : position + 1] and text[position] in _BLANK:
        position += 1
    return position


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise _TwiceError
    return content


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # An exponent beyond any decimal.
        return Decimal("Infinity")


_SPLITTER = json.JSONDecoder(parse_int=Decimal)
_READER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_decimal, parse_float=_decimal, parse_constant=_decimal
)
