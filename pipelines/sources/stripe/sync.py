"""One sync: whole lists where that is needed, then what changed since, told by Stripe's events."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipelines.sources.stripe.batches import Batch
from pipelines.sources.stripe.listing import Unavailable, Window, listed, windows_left
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import RESOURCES, Resource
from pipelines.sources.stripe.store import Store
from pipelines.sources.stripe.tables import SUBSCRIPTIONS
from pipelines.sources.stripe.versions import Cause, add_versions


@dataclass
class Sync:
    """Brings the raw tables to the state of the account."""

    reader: Reader
    store: Store
    unavailable: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Do all of it."""
        self._list(list(RESOURCES.values()))
        self.store.load()

    # -- whole lists ---------------------------------------------------------------------------

    def _list(self, resources: list[Resource], *, is_sweep: bool = False) -> None:
        """Read whole lists, going on with a listing that was not finished."""
        windows: list[Window] = []
        for resource in resources:
            state = self.store.state(resource.name)
            if state["listing_at"] is None:
                self.store.mark(resource.name, listing_at=self.now(), is_sweep=is_sweep, state="available")
                windows += windows_left(resource, ())
            else:
                windows += windows_left(resource, self.store.stretches(resource.name))
        for found in listed(self.reader, windows, self.reader.api.threads):
            if isinstance(found, Unavailable):
                self.unavailable.add(found.resource.name)
            else:
                self.add(found)
        for resource in resources:
            if resource.name in self.unavailable:
                self._mark_unavailable(resource)
            else:
                self._mark_listed(resource)

    def _mark_unavailable(self, resource: Resource) -> None:
        self.store.mark(
            resource.name, state="unavailable", detail=None, checked_at=self.now(), listing_at=None
        )

    def _mark_listed(self, resource: Resource) -> None:
        refused = self.reader.refused.get(resource.name, ())
        listing = self.store.state(resource.name)["listing_at"]
        self.store.mark(
            resource.name,
            state="partial" if refused else "available",
            detail=", ".join(refused) or None,
            checked_at=self.now(),
            listing_at=None,
            backfilled_at=listing,
            complete_at=listing,
            covered_through_at=listing,
        )

    def notes(self) -> list[str]:
        """What people should see though nothing failed."""
        return [
            f"stripe: the key may not read {name}; the rest was loaded."
            for name in RESOURCES
            if name in self.unavailable
        ] + [
            f"stripe: the key may not read {', '.join(paths)} of {name}; the rest of it was loaded."
            for name, paths in sorted(self.reader.refused.items())
            if name not in self.unavailable
        ]

    # -- common --------------------------------------------------------------------------------

    def now(self) -> dt.datetime:
        """The moment it is."""
        return self.reader.api.clock()

    def add(self, batch: Batch, causes: dict[str, Cause] | None = None) -> None:
        """Store a batch, and the versions of the subscriptions in it."""
        ids = _ids(batch.rows.get(SUBSCRIPTIONS.name, ()))
        if ids:
            add_versions(batch, self.store.last_versions(ids), causes or {})
        self.store.add(batch)


def _ids(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]
