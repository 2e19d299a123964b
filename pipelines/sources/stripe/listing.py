"""Whole lists, read in parallel over windows of `created`.

A window is read from its newest object to its oldest, page by page. While other threads have nothing to do, it
hands them the older half of what is left of it. Each page tells which stretch has been read to its end, so that
a later run goes on there.
"""

import datetime as dt
import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pipelines.sources.stripe.batches import Batch, Stretch
from pipelines.sources.stripe.client import CursorGone, Forbidden, ids_of
from pipelines.sources.stripe.parallel import Share, in_parallel
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import Resource

FIRST, LAST = 0, 253402300799
# There was no Stripe before; what is older all the same is found too.
BEGAN = int(dt.datetime(2011, 1, 1, tzinfo=dt.UTC).timestamp())
# Fewer objects than this are not worth a request of their own.
WORTH_SHARING = 50
OBJECTS_BETWEEN_COLLECTIONS = 200_000


@dataclass(frozen=True)
class Window:
    """What is to be read of one list: created from `starts` on and before `ends`, in seconds."""

    resource: Resource
    part: int
    starts: int = FIRST
    ends: int = LAST

    def bounds(self) -> dict[str, int]:
        """The filter of `created`."""
        return ({"gte": self.starts} if self.starts > FIRST else {}) | (
            {"lt": self.ends} if self.ends < LAST else {}
        )


@dataclass(frozen=True)
class Unavailable:
    """The key may not read this resource."""

    resource: Resource


def windows_left(resource: Resource, done: Iterable[Stretch]) -> list[Window]:
    """What is left to read of a resource, where these stretches have been read."""
    left = []
    stretches = sorted((stretch.part, stretch.starts, stretch.ends) for stretch in done)
    for part in range(len(resource.lists)):
        reached = FIRST
        for _, starts, ends in (stretch for stretch in stretches if stretch[0] == part):
            if starts > reached:
                left.append(Window(resource, part, reached, starts))
            reached = max(reached, ends)
        if reached < LAST:
            left.append(Window(resource, part, reached, LAST))
    return left


def listed(reader: Reader, windows: Iterable[Window], threads: int) -> Iterator[Batch | Unavailable]:
    """Yield all objects of these windows; a resource that may not be read is said once for each of its windows."""

    def work(window: Window, share: Share[Window]) -> Iterator[Batch | Unavailable]:
        try:
            yield from _read(reader, window, share)
        except Forbidden:
            yield Unavailable(window.resource)

    # JSON has no cycles: Python would spend a third of the time on looking for them in what is alive just now.
    before = gc.get_threshold()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield from in_parallel(windows, work, threads)
    finally:
        gc.set_threshold(*before)


def _read(reader: Reader, window: Window, share: Share[Window]) -> Iterator[Batch]:
    resource, starts, reached = window.resource, window.starts, window.ends
    after: dict[str, Any] = {}
    while True:
        bounds = Window(resource, window.part, starts, reached if not after else window.ends).bounds()
        query = resource.lists[window.part] | ({"created": bounds} if bounds else {}) | after
        try:
            page = reader.page(resource, **query)
        except CursorGone:
            # The object to go on after was deleted: the rest of the window is asked for anew.
            after = {}
            continue
        made = [created for row in page.rows if (created := _created(row)) is not None]
        batch = reader.batch(resource, page.rows, page)
        if not page.has_more:
            batch.stretch = Stretch(resource.name, window.part, starts, reached)
            yield batch
            return
        oldest = min(made, default=reached - 1)
        if share.is_wanted() and made:
            middle = _middle(starts, min(made), max(made), len(made))
            if middle is not None:
                share.hand_over(Window(resource, window.part, starts, middle))
                starts = middle
        # Of the second in which the page ends more may follow.
        boundary = min(oldest + 1, reached)
        if boundary < reached:
            batch.stretch = Stretch(resource.name, window.part, boundary, reached)
            reached = boundary
        yield batch
        after = {"starting_after": ids_of(page.rows)[-1]}


def _middle(starts: int, oldest: int, newest: int, rows: int) -> int | None:
    """Where to divide what is left before the oldest object of a page; None where that is not worth it."""
    begin = max(starts, min(BEGAN, oldest))
    left = oldest - begin
    expected = left * rows / max(newest - oldest, 1)
    return begin + left // 2 if left > 1 and expected > WORTH_SHARING else None


def _created(row: object) -> int | None:
    created = row.get("created") if isinstance(row, dict) else None
    return created if isinstance(created, int) and not isinstance(created, bool) else None
