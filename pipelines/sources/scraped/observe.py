"""One observation: fetch the page, keep it, read the figure, judge it."""

import datetime as dt
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from pipelines.sources.scraped.client import Answer, PoliteClient, StatusError
from pipelines.sources.scraped.extractors import Page, figure_on
from pipelines.sources.scraped.login import Logins
from pipelines.sources.scraped.outcomes import NoValueError, State, described
from pipelines.sources.scraped.pages import KeptPage, PageFolder
from pipelines.sources.scraped.targets import Target


@dataclass(frozen=True)
class Observation:
    """A row of raw_scraped.observations."""

    metric_key: str
    url_host: str
    observed_at: dt.datetime
    state: State
    reason: str | None
    value: Decimal | None
    http_status: int | None
    page_hash: str | None
    extractor_version: str
    parsed_at: dt.datetime
    loaded_at: dt.datetime

    def row(self) -> dict[str, object]:
        """Give the row as dlt loads it."""
        return dict(vars(self))


@dataclass
class Values:
    """The ok values known of every metric, in the order of their instants."""

    zone: ZoneInfo
    known: dict[str, dict[dt.datetime, Decimal]] = field(default_factory=dict)

    def add(self, observation: Observation) -> None:
        """Take a new or corrected observation into account."""
        values = self.known.setdefault(observation.metric_key, {})
        if observation.value is None:
            values.pop(observation.observed_at, None)
        else:
            values[observation.observed_at] = observation.value

    def last(self, metric_key: str) -> dt.datetime | None:
        """The instant of the newest ok value."""
        return max(self.known.get(metric_key, ()), default=None)

    def before(self, target: Target, instant: dt.datetime) -> Decimal | None:
        """The last ok value before an instant that the target may be compared with."""
        values = self.known.get(target.metric_key, {})
        first = target.compare_from
        instants = [
            known
            for known in values
            if known < instant and (first is None or known.astimezone(self.zone).date() >= first)
        ]
        return values[max(instants)] if instants else None


@dataclass
class Observer:
    """Makes the observations of one run."""

    client: PoliteClient
    pages: PageFolder
    values: Values
    logins: Logins

    def observe(self, target: Target) -> Observation:
        """Fetch a target now. Raises SettingError only where its credentials are missing."""
        status: int | None = None
        page: Page | None = None
        try:
            answer = self._fetch(target)
            status, page = answer.status, answer.page
        except StatusError as error:
            return self._without_page(target, error, error.status)
        except NoValueError as error:
            return self._without_page(target, error, None)
        instant = self.client.clock.now()
        self.pages.keep(target, instant, status, page, answer.headers)
        return self._judged(target, instant, page, status)

    def read_again(self, target: Target, kept: KeptPage) -> Observation:
        """Read a kept page with today's declaration of its target."""
        return self._judged(target, kept.fetched_at, kept.page(target), kept.kept.http_status)

    def _fetch(self, target: Target) -> Answer:
        if target.login is not None:
            # What the server calls unchanged may be the page of a visitor who is signed out.
            return self.client.fetch(self.logins.session(target.login), target.url, stay_on_host=True)
        session = self.client.session()
        known = self.pages.newest_of(target)
        answer = self.client.fetch(session, target.url, _validators(known), ask_robots=not target.is_api)
        if answer.status != 304:
            return answer
        if known is None:
            raise StatusError("bad_status", 304)
        headers = {"ETag": known.kept.etag, "Last-Modified": known.kept.last_modified}
        unchanged = {name: value for name, value in headers.items() if value is not None}
        return Answer(304, unchanged | dict(answer.headers), known.page(target))

    def _judged(self, target: Target, instant: dt.datetime, page: Page, status: int) -> Observation:
        try:
            value = figure_on(page, target)
        except NoValueError as error:
            return self._observation(target, instant, error.state, error.reason, None, status, page)
        except Exception:
            # Whatever a page does to a parser, the other targets go on. The error's text may quote the page.
            failed = NoValueError("extractor_failed")
            return self._observation(target, instant, failed.state, failed.reason, None, status, page)
        doubt = self._doubt(target, instant, value)
        if doubt is not None:
            return self._observation(target, instant, "suspect", described(doubt), None, status, page)
        return self._observation(target, instant, "ok", None, value, status, page)

    def _doubt(self, target: Target, instant: dt.datetime, value: Decimal) -> str | None:
        if target.minimum is not None and value < target.minimum:
            return "below_minimum"
        if target.maximum is not None and value > target.maximum:
            return "above_maximum"
        if target.never_falls:
            before = self.values.before(target, instant)
            if before is not None and value < before - abs(before) * target.tolerance:
                return "fell"
        return None

    def _without_page(self, target: Target, error: NoValueError, status: int | None) -> Observation:
        now = self.client.clock.now()
        return self._observation(target, now, error.state, error.reason, None, status, None)

    def _observation(
        self,
        target: Target,
        instant: dt.datetime,
        state: State,
        reason: str | None,
        value: Decimal | None,
        status: int | None,
        page: Page | None,
    ) -> Observation:
        now = self.client.clock.now()
        observation = Observation(
            metric_key=target.metric_key,
            url_host=target.host,
            observed_at=instant,
            state=state,
            reason=reason,
            value=value,
            http_status=status,
            page_hash=None if page is None else hashlib.sha256(page.body).hexdigest(),
            extractor_version=target.extractor_version,
            parsed_at=now,
            loaded_at=now,
        )
        self.values.add(observation)
        return observation


def _validators(known: KeptPage | None) -> Mapping[str, str]:
    if known is None:
        return {}
    headers = {"If-None-Match": known.kept.etag, "If-Modified-Since": known.kept.last_modified}
    return {name: value for name, value in headers.items() if value is not None}
