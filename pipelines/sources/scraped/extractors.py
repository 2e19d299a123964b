"""From a page to a figure: exactly one number, or the reason why there is none."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from dlt.common.jsonpath import find_values
from lxml import etree  # type: ignore[import-untyped]
from parsel import Selector, SelectorList
from w3lib.encoding import html_to_unicode

from pipelines.sources.scraped.number_text import exact, number_in
from pipelines.sources.scraped.outcomes import NoValueError
from pipelines.sources.scraped.targets import Target

LONGEST_FIGURE_TEXT = 10_000


@dataclass(frozen=True)
class Page:
    """An answer as fetched."""

    body: bytes
    content_type: str
    url: str

    @cached_property
    def text(self) -> str:
        """The body as text, by the header's, the page's own or the guessed encoding."""
        return str(html_to_unicode(self.content_type or None, self.body)[1])

    @cached_property
    def document(self) -> Selector:
        """The body as an HTML document."""
        return Selector(text=self.text, type="html", base_url=self.url)

    @property
    def is_html(self) -> bool:
        """Whether a browser would show the answer as a page."""
        if self.content_type:
            return "html" in self.content_type.lower()
        return self.body.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html"))

    @property
    def asks_for_password(self) -> bool:
        """Whether the page holds a password field."""
        return self.is_html and bool(self.document.css('input[type="password" i]'))


def figure_on(page: Page, target: Target) -> Decimal:
    """Read the target's figure from a page.

    Raises NoValueError with the reason. Nothing found is never 0.
    """
    if not page.body.strip():
        raise NoValueError("empty_page")
    if page.asks_for_password and not target.password_field_ok:
        raise NoValueError("login_failed" if target.login else "login_required")
    if target.extraction == "feed":
        return _counted(_feed_entries(page), target)
    matches = _matches(page, target)
    if target.count:
        return _counted(len(matches), target)
    if not matches:
        raise NoValueError("no_match")
    figures = {_number(match, target) for match in matches}
    if len(figures) > 1:
        raise NoValueError("several_matches")
    return figures.pop()


def _counted(number: int, target: Target) -> Decimal:
    if number == 0 and not target.zero_ok:
        raise NoValueError("no_match")
    return exact(Decimal(number))


def _matches(page: Page, target: Target) -> list[Any]:
    if target.extraction == "json":
        return find_values(target.selector, _json(page))
    if target.extraction == "regex":
        return [_group(match) for match in re.finditer(target.selector, page.text)]
    if target.extraction == "css":
        found = page.document.css(target.selector)
    else:
        found = page.document.xpath(target.selector)
    return found if target.count else _texts(found, target)


def _json(page: Page) -> Any:
    try:
        return json.loads(page.body, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise NoValueError("not_json") from error


def _group(match: re.Match[str]) -> str:
    return str(match[1] if match.re.groups else match[0]) if match[0] is not None else ""


def _texts(found: SelectorList[Selector], target: Target) -> list[Any]:
    texts: list[Any] = []
    for node in found:
        root = node.root
        if isinstance(root, bool | float | str):
            # XPath functions give these; count() of nothing is a 0 that nobody wrote on the page.
            if isinstance(root, float) and root == 0 and not target.zero_ok:
                raise NoValueError("no_match")
            texts.append(str(root) if isinstance(root, str) else root)
        elif target.attribute is not None:
            value = node.attrib.get(target.attribute)
            if value is not None:
                texts.append(value)
        else:
            texts.append(node.xpath("string()").get() or "")
    return texts


def _number(match: Any, target: Target) -> Decimal:
    if isinstance(match, bool) or match is None:
        raise NoValueError("no_number")
    if isinstance(match, int | Decimal):
        return exact(Decimal(match))
    if isinstance(match, float):
        # JSON's NaN and Infinity, and XPath's numbers.
        return exact(Decimal(str(match)))
    if not isinstance(match, str):
        raise NoValueError("no_number")
    text = match.strip()
    if target.pattern is not None:
        narrowed = {_group(found) for found in re.finditer(target.pattern, text)}
        if not narrowed:
            raise NoValueError("no_match")
        if len(narrowed) > 1:
            raise NoValueError("several_matches")
        text = narrowed.pop().strip()
    if len(text) > LONGEST_FIGURE_TEXT:
        raise NoValueError("several_numbers")
    return number_in(text, target.decimal, target.inexact)


_ATOM = "{http://www.w3.org/2005/Atom}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}RDF"
_RSS_1 = "{http://purl.org/rss/1.0/}"


def _feed_entries(page: Page) -> int:
    """Count the entries of an RSS 2.0, RSS 1.0 or Atom feed.

    The strict parser refuses a feed that was cut off: fewer entries would pass for all of them.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(page.body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NoValueError("not_a_feed") from error
    if root.tag == "rss":
        channel = root.find("channel")
        if channel is None:
            raise NoValueError("not_a_feed")
        entries = channel.findall("item")
    elif root.tag == _RDF:
        entries = root.findall(f"{_RSS_1}item")
        channel = root
    elif root.tag == f"{_ATOM}feed":
        entries, channel = root.findall(f"{_ATOM}entry"), root
    else:
        raise NoValueError("not_a_feed")
    if any(link.get("rel") == "next" for link in channel.findall(f"{_ATOM}link")):
        raise NoValueError("feed_continues")
    return len(entries)
