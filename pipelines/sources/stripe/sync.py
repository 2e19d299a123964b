"""One sync: whole lists where that is needed, then what changed since, told by Stripe's events."""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from pipelines.sources.load import held_for_queries
from pipelines.sources.stripe import pointers
from pipelines.sources.stripe.batches import Batch
from pipelines.sources.stripe.client import Forbidden, Missing
from pipelines.sources.stripe.differences import Difference, difference_batch, differences
from pipelines.sources.stripe.listing import Unavailable, Window, listed, windows_left
from pipelines.sources.stripe.parallel import Share, in_parallel
from pipelines.sources.stripe.pointers import Pointer
from pipelines.sources.stripe.reading import Reader
from pipelines.sources.stripe.resources import RESOURCES, Resource
from pipelines.sources.stripe.store import Store
from pipelines.sources.stripe.tables import EVENTS, SUBSCRIPTIONS
from pipelines.sources.stripe.versions import Cause, add_versions

# Events are there for 30 days; what may have been missed is read from the lists.
EVENTS_LAST = dt.timedelta(days=25)
# An event may show up so much later than it was made.
OVERLAP = dt.timedelta(hours=1)
SWEEP_EVERY = dt.timedelta(days=7)
MOST_SHOWN = 20
# Which objects others name, that a list may leave out: prices made for one subscription, coupons deleted since.
_REFERENCES = {
    "subscription_items": ("price_id", "prices"),
    "subscription_discounts": ("coupon_id", "coupons"),
    "customers": ("discount_coupon_id", "coupons"),
}

Target = tuple[str, str]
"""Resource and id of an object."""


@dataclass(frozen=True)
class _Gone:
    """An object that Stripe does not have any more."""

    target: Target
    sent_at: dt.datetime


@dataclass
class Sync:
    """Brings the raw tables to the state of the account."""

    reader: Reader
    store: Store
    unavailable: set[str] = field(default_factory=set)
    found: list[Difference] = field(default_factory=list)
    swept: int = 0

    def __post_init__(self) -> None:
        self._versions: dict[str, str] | None = None
        self._listed: set[str] = set()
        self._referenced: dict[str, set[str]] = {}

    def run(self, *, sweep: bool = False) -> None:
        """Do all of it: lists where they are needed, what changed since, and a sweep where one is asked for or due."""
        resources = list(RESOURCES.values())
        has_events = self._prepare_events()
        needed = [resource for resource in resources if not has_events or self._is_unlisted(resource)]
        resumed = [resource for resource in needed if self._listing(resource) is not None]
        self._list(needed)
        if has_events:
            has_events = self._follow_events()
        rest = [each for each in resources if each.name not in self._listed | self.unavailable]
        if not has_events:
            # Nothing tells of changes: what has not been read as a whole in this run is read so now.
            self._list([*rest, *(each for each in resumed if each.name not in self.unavailable)])
        elif rest and (sweep or self._is_sweep_due()):
            self._list(rest, is_sweep=True)
            self._follow_events()
        self._fetch_referenced()
        self.store.load()

    def notes(self) -> list[str]:
        """What people should see though nothing failed."""
        shown = [f"stripe: {one}" for one in self.found[:MOST_SHOWN]]
        if len(self.found) > MOST_SHOWN:
            shown.append(f"stripe: … {len(self.found) - MOST_SHOWN:,} more in raw_stripe.differences")
        if self.swept:
            shown.append(f"stripe: swept {self.swept:,} objects, {len(self.found):,} differences.")
        names = [*RESOURCES, EVENTS.name]
        return (
            [
                f"stripe: the key may not read {name}; the rest was loaded."
                for name in names
                if name in self.unavailable
            ]
            + [
                f"stripe: the key may not read {', '.join(paths)} of {name}; the rest of it was loaded."
                for name, paths in sorted(self.reader.refused.items())
                if name not in self.unavailable
            ]
            + shown
            + self.store.tally.notes
        )

    # -- whole lists ---------------------------------------------------------------------------

    def _is_unlisted(self, resource: Resource) -> bool:
        state = self.store.state(resource.name)
        return state["backfilled_at"] is None or state["listing_at"] is not None

    def _listing(self, resource: Resource) -> dt.datetime | None:
        begun: dt.datetime | None = self.store.state(resource.name)["listing_at"]
        return begun

    def _is_sweep_due(self) -> bool:
        listings = [self.store.state(name)["backfilled_at"] for name in RESOURCES]
        return any(begun is not None and self.now() - begun > SWEEP_EVERY for begun in listings)

    def _list(self, resources: list[Resource], *, is_sweep: bool = False) -> None:
        """Read whole lists, going on with a listing that was not finished; ask for what is in none any more."""
        if not resources:
            return
        windows: list[Window] = []
        if is_sweep:
            # What is compared with must be stored.
            self.store.load()
        for resource in resources:
            state = self.store.state(resource.name)
            if state["listing_at"] is None:
                self.store.mark(
                    resource.name,
                    listing_at=self.now(),
                    is_sweep=is_sweep,
                    checked_at=self.now(),
                    state="available",
                )
                windows += windows_left(resource, ())
            else:
                windows += windows_left(resource, self.store.stretches(resource.name))
        for found in listed(self.reader, windows, self.reader.api.threads):
            if isinstance(found, Unavailable):
                self.unavailable.add(found.resource.name)
            else:
                self.add(found)
        self._fetch(self._vanished(resources))
        for resource in resources:
            self._listed.add(resource.name)
            if resource.name in self.unavailable:
                self._mark_unavailable(resource.name)
            else:
                self._mark_listed(resource)

    def _vanished(self, resources: Iterable[Resource]) -> list[Target]:
        """What is stored and was in no list."""
        with held_for_queries(self.store.warehouse):
            return [
                (resource.name, object_id)
                for resource in resources
                if resource.changes and resource.name not in self.unavailable
                for object_id in self.store.not_seen_since(resource.table, self._listing(resource))
                if not self.store.holds((resource.name, object_id))
            ]

    def _mark_unavailable(self, name: str) -> None:
        # Once it may be read again, it is read as a whole: nothing followed its changes meanwhile.
        self.unavailable.add(name)
        self.store.mark(
            name, state="unavailable", detail=None, checked_at=self.now(), listing_at=None, backfilled_at=None
        )

    def _mark_listed(self, resource: Resource) -> None:
        refused = self.reader.refused.get(resource.name, ())
        listing = self._listing(resource)
        self.store.mark(
            resource.name,
            state="partial" if refused else "available",
            detail=", ".join(refused) or None,
            checked_at=self.now(),
            listing_at=None,
            is_sweep=False,
            backfilled_at=listing,
            complete_at=listing,
            covered_through_at=listing,
        )

    # -- what changed --------------------------------------------------------------------------

    def _prepare_events(self) -> bool:
        """Whether events can be followed; lets every list be read anew where they reach back too little."""
        state = self.store.state(EVENTS.name)
        is_known = state["state"] == "available" and state["complete_at"] is not None
        if is_known and self.now() - state["complete_at"] <= EVENTS_LAST:
            return True
        begun = state["checked_at"] if state["state"] == "available" and not is_known else None
        if begun is not None and self.now() - begun <= EVENTS_LAST:
            # The listing that these events follow was stopped, and goes on.
            return True
        try:
            made = pointers.newest(self.reader.api)
        except Forbidden:
            self._mark_unavailable(EVENTS.name)
            return False
        for name in RESOURCES:
            self.store.mark(name, listing_at=None, backfilled_at=None)
        self.store.mark(
            EVENTS.name,
            state="available",
            checked_at=self.now(),
            complete_at=None,
            cursor_at=None if made is None else dt.datetime.fromtimestamp(made, dt.UTC),
            cursor_seen_at=None,
            is_settled=False,
        )
        return True

    def _follow_events(self) -> bool:
        """Fetch every object that events made since the cursor point to; False where events may not be read."""
        asked_at = self.now()
        state = self.store.state(EVENTS.name)
        cursor = state["cursor_at"]
        since = None if cursor is None else int(cursor.timestamp()) - OVERLAP.seconds
        if since is not None and state["is_settled"]:
            since += OVERLAP.seconds + 1
        try:
            new = self._new_events(since)
        except Forbidden:
            self._mark_unavailable(EVENTS.name)
            return False
        followed = [(event, points) for event in new if (points := pointers.pointer(event)) is not None]
        causes = pointers.causes(points for _, points in followed)
        self._fetch(self._targets((points for _, points in followed), cursor), causes)
        self._add_transactions()
        # Last: only once what they point to is stored are events known as followed.
        self.store.add(pointers.event_batch(followed, asked_at, self.reader.mode))
        made = [event["created"] for event in new]
        reached = dt.datetime.fromtimestamp(max(made), dt.UTC) if made else cursor
        has_moved = reached is not None and (cursor is None or reached > cursor)
        seen_at = asked_at if has_moved else state["cursor_seen_at"] or asked_at
        self.store.mark(
            EVENTS.name,
            state="available",
            checked_at=self.now(),
            complete_at=asked_at,
            covered_through_at=asked_at,
            cursor_at=reached if has_moved else cursor,
            cursor_seen_at=seen_at,
            # Nothing older than the cursor shows up any more: the hour before it need not be looked through again.
            is_settled=cursor is not None and not has_moved and asked_at - seen_at > OVERLAP,
        )
        for name in RESOURCES:
            if name not in self.unavailable:
                self.store.mark(
                    name, checked_at=self.now(), complete_at=asked_at, covered_through_at=asked_at
                )
        return True

    def _targets(self, found: Iterable[Pointer], cursor: dt.datetime | None) -> list[Target]:
        """What is to be fetched; a list read in this run shows what happened before the cursor, which is older."""
        reached = 0 if cursor is None else int(cursor.timestamp())
        return list(
            dict.fromkeys(
                (points.resource, points.object_id)
                for points in found
                if points.resource not in self.unavailable
                and not (points.resource in self._listed and points.created <= reached)
            )
        )

    def _new_events(self, since: int | None) -> list[dict[str, Any]]:
        known = self.store.ids_since(EVENTS, since)
        found = {
            event["id"]: event
            for event in pointers.events(self.reader.api, self.reader.mode, since)
            if event["id"] not in known
        }
        return list(found.values())

    def _add_transactions(self) -> None:
        """Read the balance's movements that are new: no event tells of them, and none changes."""
        resource = RESOURCES["balance_transactions"]
        if resource.name in self.unavailable | self._listed:
            return
        last = self.store.newest_created(resource.table)
        since = 0 if last is None else int(last.timestamp()) - OVERLAP.seconds
        known = self.store.ids_since(resource.table, since)
        for found in listed(self.reader, [Window(resource, 0, since)], self.reader.api.threads):
            if isinstance(found, Unavailable):
                self._mark_unavailable(resource.name)
                return
            rows = found.rows.get(resource.name, [])
            found.rows[resource.name] = [row for row in rows if row["id"] not in known]
            found.stretch = None
            self.add(found)

    # -- single objects ------------------------------------------------------------------------

    def _fetch_referenced(self) -> None:
        """Fetch what others name and no list held."""
        for name, ids in self._referenced.items():
            if name not in self.unavailable and ids:
                stored = {row["id"] for row in self.store.by_id(RESOURCES[name].table, "id", ids)}
                missing = [(name, object_id) for object_id in sorted(ids - stored)]
                self._fetch([target for target in missing if not self.store.holds(target)])

    def _fetch(self, targets: Iterable[Target], causes: dict[str, Cause] | None = None) -> None:
        """Read single objects as they are now."""
        wanted = list(targets)
        for found in in_parallel(wanted, self._read, min(len(wanted), self.reader.api.threads)):
            if isinstance(found, Unavailable):
                self._mark_unavailable(found.resource.name)
            elif isinstance(found, _Gone):
                self._delete(found)
            else:
                self.add(found, causes)

    def _read(self, target: Target, _: Share[Target]) -> Iterator[Batch | _Gone | Unavailable]:
        resource = RESOURCES[target[0]]
        sent_at = self.now()
        try:
            answer = self.reader.one(resource, target[1])
            if answer.data.get("deleted"):
                yield _Gone(target, answer.sent_at)
                return
            yield self.reader.batch(resource, [answer.data], answer)
            if resource.name == "invoices" and "invoice_payments" not in self.unavailable:
                # Not every change of a payment makes an event of its own.
                yield from self._payments(target[1])
        except Missing:
            yield _Gone(target, sent_at)
        except Forbidden:
            yield Unavailable(resource)

    def _payments(self, invoice: str) -> Iterator[Batch | _Gone | Unavailable]:
        resource = RESOURCES["invoice_payments"]
        try:
            page = self.reader.page(resource, invoice=invoice)
        except Forbidden:
            yield Unavailable(resource)
            return
        yield self.reader.batch(resource, page.rows, page)

    def _delete(self, gone: _Gone) -> None:
        """Say of an object that it was deleted; its row stays as it was last seen."""
        name, object_id = gone.target
        resource = RESOURCES[name]
        self.store.make_room({gone.target})
        for row in self.store.by_id(resource.table, "id", [object_id]):
            if not row["is_deleted"]:
                batch = Batch(gone.sent_at, bool(row["livemode"]), owners={gone.target})
                kept = {column.name: row.get(column.name) for column in resource.table.columns}
                batch.rows[name] = [{**kept, "is_deleted": True, "requested_at": gone.sent_at}]
                for part in resource.goes_too:
                    batch.add_whole(part, resource.kind, {object_id: []})
                self.add(batch)

    # -- common --------------------------------------------------------------------------------

    def now(self) -> dt.datetime:
        """The moment it is."""
        return self.reader.api.clock()

    def add(self, batch: Batch, causes: dict[str, Cause] | None = None) -> None:
        """Store a batch, with the new versions of subscriptions in it, and in a sweep how it differs from what is stored."""
        self._compare(batch)
        for name, (column, other) in _REFERENCES.items():
            named = {row[column] for row in batch.rows.get(name, ()) if row[column] and not row["is_deleted"]}
            self._referenced.setdefault(other, set()).update(named)
        if SUBSCRIPTIONS.name in batch.rows:
            if self._versions is None:
                self._versions = self.store.last_versions()
            self._versions |= add_versions(batch, self._versions, causes or {})
        self.store.add(batch)

    def _compare(self, batch: Batch) -> None:
        swept = {name for name, _ in batch.owners if self.store.state(name)["is_sweep"]}
        if swept:
            self.swept += len(batch.owners)
            found = differences(self.store, batch)
            self.found += found
            if found:
                self.store.add(difference_batch(found, batch.sent_at))
