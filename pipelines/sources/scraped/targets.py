"""What is scraped: declarations in a TOML file, read and checked.

    [[target]]
    metric_key = "newsletter_subscribers"
    url = "https://news.example.com/about"
    css = "#subscribers"
    decimal = "."
    never_falls = true

One bad target is listed and stops no other one; a file that is no TOML stops the source.
"""

import datetime as dt
import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pipelines.errors import SettingError
from pipelines.sources.scraped.number_text import DecimalMark
from pipelines.sources.scraped.ready import READY, Endpoint, ready_endpoint

Extraction = Literal["css", "xpath", "json", "regex", "feed"]

SELECTORS: tuple[Extraction, ...] = ("css", "xpath", "json", "regex", "feed")
METRIC_KEY = re.compile(r"[a-z][a-z0-9_]{0,62}")


@dataclass(frozen=True)
class Login:
    """A login form; its user name and password are secrets under the same name."""

    name: str
    url: str
    form: str | None = None
    """CSS of the form, where the page has several with a password field."""
    username_field: str | None = None
    password_field: str | None = None


@dataclass(frozen=True)
class Target:
    """One figure: where it stands, how it is read, what is plausible, how often it is fetched."""

    metric_key: str
    url: str
    extraction: Extraction
    selector: str
    is_api: bool = False
    """An API made for programs: robots.txt, which is about pages, is not asked."""
    attribute: str | None = None
    pattern: str | None = None
    """A regular expression that narrows the matched text; its first group, if any, is the number."""
    count: bool = False
    zero_ok: bool = False
    decimal: DecimalMark | None = None
    inexact: bool = False
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    never_falls: bool = False
    tolerance: Decimal = Decimal(0)
    """The share of the last value that a figure may fall by all the same."""
    compare_from: dt.date | None = None
    """Values of earlier days are not compared with: the way out after a wrong high one was stored."""
    every_hours: int | None = None
    """Hours between two values; without it one a day."""
    password_field_ok: bool = False
    """The page shows a password field to everyone, so that one does not mean a refused visitor."""
    login: Login | None = None

    @property
    def host(self) -> str:
        """Host and port, all of the address that is stored."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)

    @property
    def extractor_version(self) -> str:
        """12 hexadecimal digits that change with everything that decides what is read from a page."""
        reading = [self.extraction, self.selector, self.attribute, self.pattern, self.count, self.zero_ok]
        reading += [self.decimal, self.inexact, self.password_field_ok]
        return hashlib.sha256(json.dumps(reading).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Declarations:
    """The targets of a file, and what is wrong with the others in it."""

    targets: list[Target] = field(default_factory=list)
    errors: list[SettingError] = field(default_factory=list)


def read_declarations(path: Path) -> Declarations:
    """Read the declared targets.

    Raises SettingError if the file cannot be read, is no TOML or declares nothing.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(
            f"The targets file {path} cannot be read ({error.strerror or type(error).__name__}).",
            "Make it (pipelines/sources/scraped/example.toml shows how), or set SOURCES__SCRAPED__TARGETS.",
        ) from error
    except UnicodeDecodeError as error:
        raise SettingError(f"The targets file {path} is not UTF-8 text.", "Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path} is not valid TOML: {error}.", "Correct that line.") from error
    tables = content.get("target")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise SettingError(
            f"{path} declares no target.", "Add one: [[target]], then metric_key, url and css below it."
        )
    unknown = sorted(content.keys() - {"target", "logins"})
    if unknown:
        raise SettingError(
            f"{path} has a part '{unknown[0]}', which means nothing here.",
            "Targets stand under [[target]], login forms under [logins.<name>].",
        )
    return _declarations(path, tables, content.get("logins", {}))


def _declarations(path: Path, tables: list[dict[str, Any]], logins: Any) -> Declarations:
    found = Declarations()
    known: set[str] = set()
    for number, table in enumerate(tables, start=1):
        name = table.get("metric_key")
        label = f"{path.name}, target {name if isinstance(name, str) else number}"
        try:
            target = _target(_Fields(label, table), logins)
            if target.metric_key in known:
                raise SettingError(f"{label}: this metric_key is declared twice.", "Give each its own.")
        except SettingError as error:
            found.errors.append(error)
            continue
        known.add(target.metric_key)
        found.targets.append(target)
    return found


class _Fields:
    """The fields of one table, taken one by one, so that what is left over is known to be a mistake."""

    def __init__(self, label: str, table: Mapping[str, Any]) -> None:
        self.label = label
        self.left = dict(table)
        self.asked: set[str] = set()

    def error(self, name: str, problem: str, remedy: str) -> SettingError:
        return SettingError(f"{self.label}: {name} {problem}.", remedy)

    def take(self, name: str, kind: type | tuple[type, ...], meaning: str) -> Any:
        self.asked.add(name)
        value = self.left.pop(name, None)
        if value is None:
            return None
        wanted = kind if isinstance(kind, tuple) else (kind,)
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted) or value == "":
            raise self.error(name, f"is not {meaning}", f"Write {meaning}.")
        return value

    def text(self, name: str) -> str | None:
        value = self.take(name, str, "a text in quotes")
        return None if value is None else str(value)

    def flag(self, name: str) -> bool:
        return bool(self.take(name, bool, "true or false"))

    def number(self, name: str) -> Decimal | None:
        value = self.take(name, (int, float), "a number")
        if value is None:
            return None
        number = Decimal(str(value))
        if not number.is_finite():
            raise self.error(name, "is not finite", "Write a number.")
        return number

    def date(self, name: str) -> dt.date | None:
        meaning = "a date without quotes, such as 2026-01-31"
        value = self.take(name, dt.date, meaning)
        if value is None or type(value) is dt.date:
            return value
        raise self.error(name, f"is not {meaning}", f"Write {meaning}.")

    def finish(self) -> None:
        for name in self.left:
            close = difflib.get_close_matches(name, self.asked, n=1)
            remedy = f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(sorted(self.asked))}."
            raise self.error(name, "is no field of it", remedy)


def _target(fields: _Fields, logins: Any) -> Target:
    metric_key = fields.text("metric_key")
    if metric_key is None or not METRIC_KEY.fullmatch(metric_key):
        raise fields.error(
            "metric_key",
            "is missing or not a plain name",
            "Use up to 63 lower-case letters, digits and _, with a letter first.",
        )
    endpoint = _endpoint(fields)
    target = Target(
        metric_key=metric_key,
        url=endpoint.url,
        extraction=endpoint.extraction,
        selector=endpoint.selector,
        is_api=endpoint.is_api,
        attribute=fields.text("attribute"),
        pattern=_checked(fields, "pattern", fields.text("pattern"), re.compile),
        count=fields.flag("count") or endpoint.extraction == "feed",
        zero_ok=fields.flag("zero_ok"),
        decimal=_decimal(fields),
        inexact=fields.flag("inexact"),
        minimum=fields.number("min"),
        maximum=fields.number("max"),
        never_falls=fields.flag("never_falls"),
        tolerance=fields.number("tolerance") or Decimal(0),
        compare_from=fields.date("compare_from"),
        every_hours=fields.take("every_hours", int, "a whole number of hours"),
        password_field_ok=fields.flag("password_field_ok"),
        login=_login(fields, logins),
    )
    fields.finish()
    _check_together(fields, target)
    return target


def _endpoint(fields: _Fields) -> Endpoint:
    chosen = [name for name in (*SELECTORS, *READY) if name in fields.left]
    fields.asked.update((*SELECTORS, *READY))
    if len(chosen) != 1:
        raise fields.error(
            " and ".join(chosen) or "an extractor",
            "cannot stand together" if chosen else "is missing",
            f"Give exactly one of {', '.join((*SELECTORS, *READY))}.",
        )
    name = chosen[0]
    if name in READY:
        value, figure, base_url = fields.text(name), fields.text("figure"), fields.text("base_url")
        if base_url is not None:
            check_url(fields.error, "base_url", base_url)
        return ready_endpoint(fields.error, name, str(value), figure, base_url)
    url = fields.text("url")
    check_url(fields.error, "url", url)
    if name == "feed":
        if fields.left.pop("feed") is not True:
            raise fields.error("feed", "is not true", "Write feed = true: the feed's entries are counted.")
        return Endpoint(str(url), "feed", "")
    selector = _checked(fields, name, fields.text(name), _COMPILERS[name])
    return Endpoint(str(url), name, str(selector))  # type: ignore[arg-type]


def _compile_css(selector: str) -> object:
    from parsel.csstranslator import HTMLTranslator

    return HTMLTranslator().css_to_xpath(selector)


def _compile_xpath(selector: str) -> object:
    from parsel import Selector

    return Selector(text="<html/>", type="html").xpath(selector)


def _compile_json(selector: str) -> object:
    from dlt.common.jsonpath import compile_path

    return compile_path(selector)


_COMPILERS: dict[str, Callable[[str], object]] = {
    "css": _compile_css,
    "xpath": _compile_xpath,
    "json": _compile_json,
    "regex": re.compile,
}


def _checked(fields: _Fields, name: str, text: str | None, compiler: Callable[[str], object]) -> str | None:
    if text is None:
        return None
    try:
        compiler(text)
    except Exception as error:  # each library has its own kinds of errors for a bad expression
        raise fields.error(
            name, f"cannot be understood ({type(error).__name__})", "Correct the expression."
        ) from error
    return text


def check_url(error: Callable[[str, str, str], SettingError], name: str, url: str | None) -> None:
    """Refuse what is no http(s) address, and one that holds a user name or password."""
    try:
        parts = urlsplit(url or "")
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise error(name, "is missing or no http(s) address", "Write it in full: https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise error(
            name,
            "holds a user name or password",
            "Take them out: logins stand in secrets, by [logins.<name>].",
        )


def _decimal(fields: _Fields) -> DecimalMark | None:
    mark = fields.text("decimal")
    if mark not in {None, ".", ","}:
        raise fields.error("decimal", "is neither '.' nor ','", "Write the decimal mark of the page.")
    return mark  # type: ignore[return-value]


def _login(fields: _Fields, logins: Any) -> Login | None:
    name = fields.text("login")
    if name is None:
        return None
    table = logins.get(name) if isinstance(logins, dict) else None
    if not METRIC_KEY.fullmatch(name) or not isinstance(table, dict):
        raise fields.error(
            "login", "names no login of the file", f"Add [logins.{name}] with the url of the form."
        )
    inner = _Fields(f"{fields.label}, login {name}", table)
    url = inner.text("url")
    check_url(inner.error, "url", url)
    login = Login(
        name=name,
        url=str(url),
        form=_checked(inner, "form", inner.text("form"), _compile_css),
        username_field=inner.text("username_field"),
        password_field=inner.text("password_field"),
    )
    inner.finish()
    return login


def _check_together(fields: _Fields, target: Target) -> None:
    if target.minimum is not None and target.maximum is not None and target.minimum > target.maximum:
        raise fields.error("min", "is greater than max", "Exchange them.")
    if not 0 <= target.tolerance < 1:
        raise fields.error("tolerance", "is not a share", "Write a number from 0 to below 1: 0.02 is 2 %.")
    if target.every_hours is not None and not 1 <= target.every_hours <= 24 * 31:
        raise fields.error("every_hours", "is out of range", "Write 1 to 744, or leave it out for daily.")
    if target.attribute is not None and target.extraction not in {"css", "xpath"}:
        raise fields.error("attribute", "goes only with css or xpath", "Leave it out.")
    if target.attribute is not None and target.count:
        raise fields.error("attribute", "has no meaning for a count", "Leave one of them out.")
    if target.pattern is not None and (target.count or target.extraction == "regex"):
        raise fields.error("pattern", "goes only with css, xpath or json, without count", "Leave it out.")
    if target.login is not None and target.is_api:
        raise fields.error("login", "has no meaning for a ready extractor", "Leave it out.")
