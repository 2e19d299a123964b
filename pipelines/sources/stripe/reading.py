"""Reads objects with a key that may not be allowed everything, and makes batches of them."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from pipelines.sources.stripe.batches import Batch, Mode
from pipelines.sources.stripe.client import Answer, Forbidden, Missing, NotExpandable, Page, StripeApi
from pipelines.sources.stripe.resources import Resource

Found = TypeVar("Found", Page, Answer)


class Reader:
    """One sync's way to Stripe; remembers which fields the key may not expand, and asks for them no more."""

    def __init__(self, api: StripeApi, mode: Mode) -> None:
        self.api = api
        self.mode = mode
        self.refused: dict[str, tuple[str, ...]] = {}
        """Resource -> the fields that cannot be expanded."""
        self._lock = threading.Lock()

    def page(self, resource: Resource, **query: Any) -> Page:
        """Read a page of a list. Raises Forbidden where the key may not read the list at all."""
        return self._expanded(
            resource, "data.", lambda expand: self.api.page(resource.path, **query, **expand)
        )

    def one(self, resource: Resource, object_id: str) -> Answer:
        """Read one object. Raises Missing where there is none any more."""
        return self._expanded(
            resource, "", lambda expand: self.api.get(resource.path_of(object_id), **expand)
        )

    def batch(self, resource: Resource, rows: list[Any], page: Page | Answer) -> Batch:
        """The rows of what an answer held."""
        batch = Batch(page.sent_at, bool(self.mode.livemode))
        found = []
        for entry in rows:
            raw = batch.usable(resource.kind, entry)
            if raw is None or raw.get("deleted"):
                continue
            self.mode.check(raw)
            try:
                found.append((raw, resource.nested(self.api, raw)))
            except Missing:
                continue  # deleted since its page was read
            batch.owners.add((resource.name, str(raw["id"])))
        batch.livemode = bool(self.mode.livemode)
        resource.take(batch, found)
        return batch

    def _expanded(self, resource: Resource, prefix: str, ask: Callable[[dict[str, Any]], Found]) -> Found:
        while True:
            asked = self._asked(resource)
            try:
                return ask({"expand": [f"{prefix}{path}" for path in asked]} if asked else {})
            except (Forbidden, NotExpandable):
                if not asked:
                    raise
                self._ask_no_more(resource, asked)

    def _asked(self, resource: Resource) -> list[str]:
        refused = self.refused.get(resource.name, ())
        return [path for path in resource.expansions(self.api.api_version) if path not in refused]

    def _ask_no_more(self, resource: Resource, asked: list[str]) -> None:
        # Coupons need a permission of their own; then whatever is left.
        given_up = [path for path in asked if path.endswith("coupon")] or asked
        with self._lock:
            before = self.refused.get(resource.name, ())
            self.refused[resource.name] = tuple(dict.fromkeys((*before, *given_up)))
