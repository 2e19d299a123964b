"""Notion as a connection meets it: versions, data sources, limits of texts, a budget of blocks, and no unique keys."""

import datetime as dt
import uuid
from typing import Any

from service_double import Asked, Double, Reply

TOKEN = "ntn_canary_91c4"
DATABASE, SOURCE, OTHER_SOURCE = "db-1", "ds-1", "ds-2"
_START = dt.datetime(2026, 11, 23, 6, 0, tzinfo=dt.UTC)


def plain(value: dict[str, Any]) -> str:
    """The text of a title or a rich text."""
    return "".join(text["text"]["content"] for text in value.get("title") or value.get("rich_text") or [])


class NotionDouble(Double):
    """One workspace: a database with its data sources, and their pages."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: dict[str, dict[str, str]] = {SOURCE: {"Figure": "title"}}
        self.pages: dict[str, dict[str, Any]] = {}
        self.blocks_left = 1_000
        self.is_indexed = True
        """Whether a query finds what was just made."""

    def live(self, source: str = SOURCE) -> dict[str, dict[str, Any]]:
        """The pages of a data source by their keys; of one key there may be only one."""
        found = [page for page in self._of(source) if not page["in_trash"]]
        by_key = {plain(page["properties"]["Metric key"]): page["properties"] for page in found}
        assert len(by_key) == len(found), "a key stands twice"
        return by_key

    def shown(self) -> str:
        """All text of all pages."""
        texts = []
        for properties in self.live().values():
            for value in properties.values():
                texts.append(plain(value))
                texts.append(str((value.get("select") or {}).get("name", "")))
        return "\n".join(texts)

    def reply(self, asked: Asked) -> Reply:
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _error(401, "unauthorized", "API token is invalid.")
        if asked.headers.get("Notion-Version") != "2025-09-03":
            return _error(400, "missing_version", "Notion-Version header failed validation.")
        match asked.method, asked.path.strip("/").split("/")[1:]:
            case "GET", ["databases", database] if database == DATABASE:
                sources = [{"id": source, "name": source.upper()} for source in self.sources]
                return Reply(200, {"object": "database", "id": DATABASE, "data_sources": sources})
            case method, ["data_sources", source] if source in self.sources:
                return self._source(method, source, asked.body)
            case "POST", ["data_sources", source, "query"] if source in self.sources:
                return self._query(source, asked.body)
            case "POST", ["pages"]:
                return self._create(asked.body)
            case method, ["pages", page_id] if page_id in self.pages:
                return self._page(method, page_id, asked.body)
        return _error(404, "object_not_found", "Could not find object.")

    def _of(self, source: str) -> list[dict[str, Any]]:
        return [page for page in self.pages.values() if page["parent"]["data_source_id"] == source]

    def _source(self, method: str, source: str, body: Any) -> Reply:
        if method == "PATCH":
            self.sources[source] |= {name: next(iter(column)) for name, column in body["properties"].items()}
        columns = {name: {"id": name, "type": kind, kind: {}} for name, kind in self.sources[source].items()}
        return Reply(200, {"object": "data_source", "id": source, "properties": columns})

    def _query(self, source: str, body: dict[str, Any]) -> Reply:
        if not 1 <= body.get("page_size", 100) <= 100:
            return _error(400, "validation_error", "page_size")
        found = [page for page in self._of(source) if not page["in_trash"]] if self.is_indexed else []
        if wanted := body.get("filter"):
            ending = wanted["rich_text"]["ends_with"]
            found = [page for page in found if plain(page["properties"][wanted["property"]]).endswith(ending)]
        start = int(body.get("start_cursor", 0))
        end = start + body.get("page_size", 100)
        more = end < len(found)
        return Reply(
            200, {"results": found[start:end], "has_more": more, "next_cursor": str(end) if more else None}
        )

    def _create(self, body: dict[str, Any]) -> Reply:
        parent = body["parent"]
        if parent.get("type") != "data_source_id" or parent.get("data_source_id") not in self.sources:
            return _error(400, "validation_error", "body.parent: a page is made in a data source.")
        if problem := self._problem(parent["data_source_id"], body):
            return problem
        if self.blocks_left < 1:
            return _error(403, "restricted_resource", "This workspace has reached its block limit.")
        self.blocks_left -= 1
        page_id = str(uuid.UUID(int=len(self.pages) + 1))
        made = _START + dt.timedelta(minutes=len(self.pages))
        self.pages[page_id] = {
            "id": page_id,
            "created_time": made.isoformat(),
            "in_trash": False,
            "parent": parent,
            "properties": body["properties"],
        }
        return Reply(200, self.pages[page_id])

    def _page(self, method: str, page_id: str, body: dict[str, Any]) -> Reply:
        page = self.pages[page_id]
        if method == "PATCH":
            if page["in_trash"]:
                return _error(400, "validation_error", "Can't edit a page that is in the trash.")
            if problem := self._problem(page["parent"]["data_source_id"], body):
                return problem
            page["properties"] = page["properties"] | body.get("properties", {})
            page["in_trash"] = body.get("in_trash", False)
        return Reply(200, page)

    def _problem(self, source: str, body: dict[str, Any]) -> Reply | None:
        columns = self.sources[source]
        if "children" in body:
            return _error(400, "validation_error", "this test wants no blocks below a page")
        for name, value in body.get("properties", {}).items():
            if name not in columns:
                return _error(400, "validation_error", f"{name} is not a property that exists.")
            if columns[name] not in value:
                return _error(400, "validation_error", f"{name} is expected to be {columns[name]}.")
            texts = value.get("title") or value.get("rich_text") or []
            if len(texts) > 100:
                return _error(400, "validation_error", f"body.properties.{name}.length should be ≤ `100`")
            for text in texts:
                content = text["text"]["content"]
                if not 1 <= len(content.encode("utf-16-le")) // 2 <= 2_000:
                    return _error(400, "validation_error", f"{name}.text.content.length should be ≤ `2000`")
            if "," in ((value.get("select") or {}).get("name") or ""):
                return _error(400, "validation_error", "a select option holds no comma")
        return None


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(status, {"object": "error", "status": status, "code": code, "message": message})
