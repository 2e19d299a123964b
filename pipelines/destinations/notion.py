"""A digest in a Notion database: one page for each metric, updated in place.

The latest value, the comparison, the period and the state are properties of the page; the page's own content belongs
to people and is not touched. A free workspace of several members has 1,000 blocks for life: a page is one, and no
week adds another. Settings:

    DESTINATIONS__NOTION__TOKEN           secret: the connection's token
    DESTINATIONS__NOTION__DATABASE_ID     the database; or, where it has several data sources,
    DESTINATIONS__NOTION__DATA_SOURCE_ID  the data source
    DESTINATIONS__NOTION__EXTERNAL        true: people outside the company read it, who get published figures only
    DESTINATIONS__NOTION__HISTORY_DATA_SOURCE_ID  optional, for paid plans: a page a metric and week besides

Notion has no unique keys: pages are found by the property `Metric key`, and by the ids that were kept. Of two pages
of one key the younger goes to the trash. So a run that is killed anywhere is mended by the next one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.destinations.exchange import Exchange, RefusedError, Request, UncertainError
from pipelines.destinations.memory import Memory
from pipelines.digest.facts import Digest, Line
from pipelines.digest.wording import Statement, Wording
from pipelines.errors import KpiError, SettingError

API_VERSION = "2025-09-03"
KEY = "Metric key"
LONGEST_TEXT = 2_000
NOT_REPORTED = "not in the digest"
COLUMNS = {
    KEY: "rich_text",
    "Latest": "rich_text",
    "Value": "number",
    "Period": "date",
    "Comparison": "rich_text",
    "Judgement": "select",
    "Target": "rich_text",
    "Newest": "rich_text",
    "State": "select",
    "Restated": "rich_text",
    "Owner": "rich_text",
    "Reported for": "date",
}
_PAGE_SIZE = 100
_TOKEN = "DESTINATIONS__NOTION__TOKEN"  # noqa: S105 - a setting's name
_DATA_SOURCE = "DESTINATIONS__NOTION__DATA_SOURCE_ID"

Properties = dict[str, Any]


@dataclass(frozen=True)
class Page:
    """What a page of the database is to show."""

    key: str
    title: str
    properties: Properties
    """Without the title, whose property everybody names as they like."""


def pages(digest: Digest, wording: Wording, suffix: str = "") -> list[Page]:
    """Lay a digest out as pages, in its order; a suffix to the keys tells the weeks of a history apart."""
    return [
        Page(
            f"{line.key}{suffix}",
            statement.title,
            _properties(f"{line.key}{suffix}", line, statement, digest),
        )
        for line, statement in zip(digest.lines, wording.statements, strict=True)
    ]


def _properties(key: str, line: Line, statement: Statement, digest: Digest) -> Properties:
    current = line.current
    shown = line.newest or current
    state = shown.state if shown else "missing"
    return {
        KEY: _text(key),
        "Latest": _text(statement.value),
        "Value": {"number": float(current.value) if current and current.value is not None else None},
        "Period": {
            "date": {"start": current.start.isoformat(), "end": current.end.isoformat()} if current else None
        },
        "Comparison": _text(statement.comparison),
        "Judgement": {"select": {"name": statement.judgement}},
        "Target": _text(statement.target),
        "Newest": _text(statement.newest),
        "State": {"select": {"name": state}},
        "Restated": _text("\n".join(statement.restatements)),
        "Owner": _text(line.metric.owner),
        "Reported for": {"date": {"start": digest.date.isoformat(), "end": None}},
    }


def _retired() -> Properties:
    """Empty every figure of a page whose metric left the digest: what may not be shown is not left standing."""
    empty: Mapping[str, Any] = {"rich_text": [], "number": None, "date": None, "select": None}
    blank = {name: {kind: empty[kind]} for name, kind in COLUMNS.items() if name != KEY}
    return blank | {"State": {"select": {"name": NOT_REPORTED}}}


def _text(text: str) -> dict[str, Any]:
    return {"rich_text": _rich(text)}


def _rich(text: str) -> list[dict[str, Any]]:
    """Write a text as rich text within the limits: in pieces, which Notion shows as one."""
    # Half of what is allowed: a character beyond the basic plane may count for two.
    size = LONGEST_TEXT // 2
    return [
        {"type": "text", "text": {"content": text[start : start + size]}}
        for start in range(0, len(text), size)
    ]


@dataclass
class Notion:
    """Keeps the pages of one data source equal to a digest."""

    exchange: Exchange
    memory: Memory

    def data_source(self, database_id: str | None, data_source_id: str | None) -> str:
        """Find the data source to write to; raises SettingError where a database has not exactly one."""
        if data_source_id:
            return data_source_id
        if not database_id:
            raise SettingError(
                "It is not said which Notion database the digest goes to.",
                "Set DESTINATIONS__NOTION__DATABASE_ID, and give the connection access to it.",
            )
        sources = self._told(Request("GET", f"/v1/databases/{database_id}")).get("data_sources", [])
        if len(sources) != 1:
            names = ", ".join(f"{source.get('name')} ({source['id']})" for source in sources) or "none"
            raise SettingError(
                f"The Notion database has these data sources: {names}.", f"Set {_DATA_SOURCE} to one."
            )
        return str(sources[0]["id"])

    def planned(self, source: str, wanted: list[Page], suffix: str = "") -> Iterator[Request]:
        """Read what is there, and say what would be written, in order: columns, then pages, then the trash.

        The property of the title has whatever name the database gives it. A page that is as it should be is left
        alone; one whose key left the digest is emptied. With a suffix only keys that end in it are looked at.
        """
        missing, title = self._columns(source)
        if missing:
            yield Request("PATCH", f"/v1/data_sources/{source}", {"properties": missing})
        there: dict[str, dict[str, Any]] = {}
        younger: list[str] = []
        if KEY not in missing:
            there, younger = self._existing(source, suffix)
        for page in wanted:
            properties = {title: {"title": _rich(page.title or page.key)}, **page.properties}
            old = there.pop(page.key, None)
            if old is None:
                parent = {"type": "data_source_id", "data_source_id": source}
                yield Request("POST", "/v1/pages", {"parent": parent, "properties": properties})
            elif changed := _changed(old["properties"], properties):
                yield Request("PATCH", f"/v1/pages/{old['id']}", {"properties": changed})
        for old in there.values():
            if changed := _changed(old["properties"], _retired()):
                yield Request("PATCH", f"/v1/pages/{old['id']}", {"properties": changed})
        for page_id in younger:
            yield Request("PATCH", f"/v1/pages/{page_id}", {"in_trash": True})

    def deliver(self, source: str, wanted: list[Page], suffix: str = "") -> list[str]:
        """Write what differs; a page that is refused does not stop the others.

        Gives what people should know. Raises KpiError naming how many pages failed and why the first did; the same
        call mends what is missing.
        """
        done = {"POST": 0, "PATCH": 0}
        failures: list[KpiError] = []
        # Everything is read before anything is written.
        for request in list(self.planned(source, wanted, suffix)):
            try:
                answer = self._told(request)
            except _PageError as error:
                if not request.path.startswith("/v1/pages"):
                    raise
                failures.append(error)
                continue
            done[request.method] += 1
            if request.method == "POST":
                assert request.body is not None
                self._kept(source)[_plain(request.body["properties"][KEY])] = str(answer["id"])
                self.memory.save()
        if failures:
            raise KpiError(
                f"{len(failures)} pages in Notion failed. {failures[0].problem}", failures[0].remedy
            )
        return [f"{done['POST']} pages created, {done['PATCH']} updated"]

    def _kept(self, source: str) -> dict[str, str]:
        """The ids of the pages that were made, by their keys."""
        kept: dict[str, str] = self.memory.content.setdefault(source, {})
        return kept

    def _columns(self, source: str) -> tuple[dict[str, Any], str]:
        """Compare the columns there with those needed: the missing ones, and the name of the title."""
        answer = self._told(Request("GET", f"/v1/data_sources/{source}"))
        kinds = {name: column["type"] for name, column in answer["properties"].items()}
        for name, kind in COLUMNS.items():
            if kinds.get(name, kind) != kind:
                raise KpiError(
                    f"The column '{name}' of the Notion database is of type {kinds[name]}, not {kind}.",
                    "Rename or delete it: it is made anew.",
                )
        missing: dict[str, Any] = {name: {kind: {}} for name, kind in COLUMNS.items() if name not in kinds}
        return missing, next(name for name, kind in kinds.items() if kind == "title")

    def _existing(self, source: str, suffix: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Find the page of each key, and the ids of younger pages of a key that has one already."""
        found: dict[str, dict[str, Any]] = {}
        younger = []
        for page in sorted(self._all(source, suffix), key=lambda page: (page["created_time"], page["id"])):
            key = _plain(page["properties"].get(KEY, {}))
            if not key or not key.endswith(suffix):
                continue
            if key in found:
                younger.append(str(page["id"]))
            else:
                found[key] = page
        return found, younger

    def _all(self, source: str, suffix: str) -> Iterator[dict[str, Any]]:
        """Give every page: those a query finds, and those that were made and a query does not find yet."""
        seen = set()
        body: dict[str, Any] = {"page_size": _PAGE_SIZE}
        if suffix:
            body["filter"] = {"property": KEY, "rich_text": {"ends_with": suffix}}
        while True:
            answer = self._told(Request("POST", f"/v1/data_sources/{source}/query", body))
            for page in answer["results"]:
                if not page.get("in_trash"):
                    seen.add(page["id"])
                    yield page
            if not answer.get("has_more") or not answer.get("next_cursor"):
                break
            body = {**body, "start_cursor": answer["next_cursor"]}
        kept = self._kept(source)
        for key, page_id in list(kept.items()):
            if not key.endswith(suffix):
                del kept[key]
            elif page_id not in seen:
                page = self._page(page_id)
                if page:
                    yield page
                else:
                    del kept[key]

    def _page(self, page_id: str) -> dict[str, Any] | None:
        try:
            page = self.exchange.send(Request("GET", f"/v1/pages/{page_id}"))
        except RefusedError as error:
            if error.status == 404:
                return None
            raise _readable(error, Request("GET", f"/v1/pages/{page_id}")) from None
        except UncertainError as error:
            raise _not_known(error) from None
        return None if page.get("in_trash") else page

    def _told(self, request: Request) -> dict[str, Any]:
        try:
            return self.exchange.send(request)
        except UncertainError as error:
            raise _not_known(error) from None
        except RefusedError as error:
            raise _readable(error, request) from None


class _PageError(KpiError):
    """One page was not written, or nobody knows; the others may be."""


def _not_known(error: UncertainError) -> _PageError:
    return _PageError(
        f"Notion gave no usable answer ({error}).",
        "Start the same command again: it finds out what arrived and goes on from there.",
    )


def _readable(error: RefusedError, request: Request) -> KpiError:
    if error.status == 401:
        return SettingError(
            "Notion does not accept the token.", f"Set {_TOKEN} to the token of the connection."
        )
    if (
        error.status in {403, 404}
        and "block" not in error.words.lower()
        and not request.path.startswith("/v1/pages")
    ):
        return SettingError(
            f"Notion does not show the database to this connection ({error}).",
            "Add the connection to the database (… -> Connections), and check the id.",
        )
    if error.status in {429, 529}:
        return KpiError(
            "Notion takes no more requests for now.", "Start the same command again in some minutes."
        )
    return _PageError(
        f"Notion refused {request.method} {request.path} ({error}): {error.words or 'no reason given'}.",
        "Mend that in Notion, or look at what was sent with --dry-run.",
    )


def _changed(old: Mapping[str, Any], new: Properties) -> Properties:
    """Give the properties whose content differs from what the page shows."""
    return {name: value for name, value in new.items() if _content(old.get(name, {})) != _content(value)}


def _content(value: Mapping[str, Any]) -> Any:
    """Reduce a property, as sent or as answered, to what it says."""
    if "title" in value or "rich_text" in value:
        return _plain(value)
    if "select" in value:
        return (value["select"] or {}).get("name")
    if "date" in value:
        date = value["date"] or {}
        return date.get("start"), date.get("end")
    return value.get("number")


def _plain(value: Mapping[str, Any]) -> str:
    texts = value.get("title") or value.get("rich_text") or []
    return "".join(text["text"]["content"] for text in texts if text.get("type", "text") == "text")
