"""What the server takes and answers, as an OpenAPI document and as a page."""

import html
import json
from typing import Any

from pipelines.serve.bodies import JSON, JSON_LINES, LARGEST_BODY

_REFUSALS = {
    "401": "No token, or one that this server does not know. Without tokens in its settings a server refuses everything.",
    "403": "The token is for something else.",
    "408": "The body did not arrive in time.",
    "413": f"The body is larger than {LARGEST_BODY:,} bytes.",
    "415": "The body has another Content-Type, or a Content-Encoding.",
    "422": "The body cannot be taken: error, message, and the field and item (from 0) that it is about. Nothing of it was taken.",
    "503": "Nothing was taken; send it again later.",
}


def document() -> dict[str, Any]:
    """Make the document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "KPI warehouse",
            "version": "1",
            "description": "Takes figures and events, and starts runs. What is acknowledged with 202 is on disk.",
        },
        "security": [{"token": []}],
        "paths": {
            "/metric_data": {
                "post": _operation(
                    "Hand over values of metrics",
                    "One object, an array of them, or one a line; all of them are taken or none. Of several values of "
                    "one metric and timestamp the last one pushed counts.",
                    _items("MetricValue"),
                    {
                        "202": _answer(
                            "On disk; the next load takes it.",
                            {
                                "accepted": {"type": "integer"},
                                "values": {"type": "array", "items": {"type": "object"}},
                            },
                        )
                    },
                )
            },
            "/events": {
                "post": _operation(
                    "Hand over events",
                    "In the form that is configured for event files (native: event_id, event_key, occurred_at and more). "
                    "One object, an array of them, or one a line; all of them are taken or none. A copy of an event_id "
                    "counts once.",
                    _items("Event"),
                    {"202": _answer("On disk; the next load takes it.", {"accepted": {"type": "integer"}})},
                )
            },
            "/export-kpi": {
                "post": _operation(
                    "Load everything and build the report of a day",
                    "Starts kpi run once. The same idempotency key gives the same run again, also after a restart; a run "
                    "that was killed is started again.",
                    {JSON: {"schema": _schema("Export")}},
                    {
                        "200": _answer("The run of this key, which has ended.", _RECORD),
                        "202": _answer("Started, or still at work.", _RECORD),
                        "409": _answer(
                            "Another run is at work, or the key came with another date before.", _ERROR
                        ),
                    },
                    [_KEY],
                    is_required=False,
                )
            },
            "/export-kpi/{export_id}": {
                "get": {
                    "summary": "Ask what became of a run",
                    "parameters": [
                        {
                            "name": "export_id",
                            "in": "path",
                            "required": True,
                            "schema": {"type": "string"},
                        }
                    ],
                    "responses": {
                        "200": _answer("What is known of the run.", _RECORD),
                        "401": _answer(_REFUSALS["401"], _ERROR),
                        "403": _answer(_REFUSALS["403"], _ERROR),
                        "404": _answer("There is no such run.", _ERROR),
                    },
                }
            },
            "/healthz": {
                "get": {
                    "summary": "Ask whether the server takes what is sent",
                    "security": [],
                    "responses": {
                        "200": _answer("It does.", {"status": {"type": "string"}}),
                        "503": _answer("The inbox cannot be written.", {"status": {"type": "string"}}),
                    },
                }
            },
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _SCHEMAS,
        },
    }


def page() -> str:
    """Show the document on one page that needs nothing from elsewhere."""
    content = document()
    parts = []
    for path, methods in content["paths"].items():
        for method, operation in methods.items():
            answers = "".join(
                f"<tr><td>{status}</td><td>{html.escape(answer['description'])}</td></tr>"
                for status, answer in sorted(operation["responses"].items())
            )
            parts.append(
                f"<h2>{method.upper()} {html.escape(path)}</h2><p><b>{html.escape(operation['summary'])}.</b> "
                f"{html.escape(operation.get('description', ''))}</p><table>{answers}</table>"
            )
    for name, schema in content["components"]["schemas"].items():
        parts.append(f"<h2>{name}</h2><pre>{html.escape(json.dumps(schema, indent=2))}</pre>")
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>KPI warehouse</title><style>"
        "body{font:16px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}pre{background:#f4f4f4;padding:1em}"
        "td{padding:0 1em 0 0;vertical-align:top}</style>"
        f"<h1>KPI warehouse</h1><p>{html.escape(content['info']['description'])} Every request but /healthz brings the header "
        "<code>Authorization: Bearer TOKEN</code>. The same for programs: /openapi.json</p>"
        f"{''.join(parts)}</html>\n"
    )


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _items(name: str) -> dict[str, Any]:
    one = _schema(name)
    either = {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]}
    return {JSON: {"schema": either}} | {each: {"schema": one} for each in JSON_LINES}


def _answer(description: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {JSON: {"schema": {"type": "object", "properties": properties}}},
    }


def _operation(
    summary: str,
    description: str,
    content: dict[str, Any],
    answers: dict[str, Any],
    parameters: list[dict[str, Any]] | None = None,
    *,
    is_required: bool = True,
) -> dict[str, Any]:
    refusals = {status: _answer(words, _ERROR) for status, words in _REFUSALS.items()}
    return {
        "summary": summary,
        "description": description,
        "parameters": parameters or [],
        "requestBody": {"required": is_required, "content": content},
        "responses": refusals | answers,
    }


_ERROR = {
    "error": {"type": "string", "description": "A code for programs."},
    "message": {"type": "string", "description": "Words for people."},
    "field": {"type": "string"},
    "item": {"type": "integer"},
}
_RECORD = {
    "export_id": {"type": "string"},
    "requested_date": {"type": ["string", "null"]},
    "report_date": {"type": "string"},
    "status": {"enum": ["running", "succeeded", "failed", "interrupted"]},
    "started_at": {"type": "string"},
    "ended_at": {"type": ["string", "null"]},
    "exit_code": {"type": ["integer", "null"]},
    "problems": {"type": "array", "items": {"type": "string"}},
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Any text of yours; a request that is sent again with it starts nothing again.",
    "schema": {"type": "string", "maxLength": 255},
}
_SCHEMAS: dict[str, Any] = {
    "MetricValue": {
        "type": "object",
        "required": ["metric", "value"],
        "additionalProperties": False,
        "properties": {
            "metric": {
                "type": "string",
                "description": "Key of a metric with a daily_aggregation in the catalogue.",
            },
            "value": {"type": "number", "description": "Kept to nine decimals."},
            "timestamp": {
                "type": "string",
                "description": "When it was measured: 2026-11-20T09:12:44+01:00 (without an offset in UTC), or a day, "
                "2026-11-20. Not in the future; now where it is left out.",
            },
            "id": {
                "type": "string",
                "maxLength": 128,
                "description": "Any text of yours; a value that is sent again with it counts once.",
            },
        },
    },
    "Event": {"type": "object", "description": "One event, as in an event file."},
    "Export": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "date": {
                "type": "string",
                "format": "date",
                "description": "The report to build; today's where it is left out.",
            }
        },
    },
}
