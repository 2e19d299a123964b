"""The history of subscriptions as it was observed: one row for each state in which one was found."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.sources.stripe.batches import Batch
from pipelines.sources.stripe.columns import Table
from pipelines.sources.stripe.shapes.reading import Row
from pipelines.sources.stripe.tables import (
    SUBSCRIPTION_DISCOUNTS,
    SUBSCRIPTION_ITEMS,
    SUBSCRIPTION_VERSION_DISCOUNTS,
    SUBSCRIPTION_VERSION_ITEMS,
    SUBSCRIPTION_VERSIONS,
    SUBSCRIPTIONS,
)

_OWN = {"id", "subscription_id", "state_hash", "observed_at", "event_id", "event_at", "requested_at"}
STATE = tuple(column.name for column in SUBSCRIPTION_VERSIONS.columns if column.name not in _OWN)
_PART = {"id", "version_id", "subscription_id", "livemode", "is_deleted", "requested_at"}


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.name not in _PART)


_ITEM = tuple(name for name in _names(SUBSCRIPTION_VERSION_ITEMS) if name != "item_id")
# A coupon never changes what it takes off; whether it came along with the discount hangs on the key.
_DISCOUNT = ("subscription_item_id", "position", "discount_id", "coupon_id", "start_at", "end_at")


@dataclass(frozen=True)
class Cause:
    """The newest event that told of a change that this history is about."""

    event_id: str
    created_at: dt.datetime


def state_hash(subscription: Row, items: list[Row], discounts: list[Row]) -> str:
    """A digest of everything about a subscription that its recurring revenue depends on."""
    state = [
        [subscription.get(name) for name in STATE],
        sorted([item["id"], *(item.get(name) for name in _ITEM)] for item in items),
        sorted(([discount.get(name) for name in _DISCOUNT] for discount in discounts), key=str),
    ]
    return hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()[:32]


def add_versions(batch: Batch, known: Mapping[str, str], causes: Mapping[str, Cause]) -> dict[str, str]:
    """Put into a batch the versions of its subscriptions that are not the last `known` ones (id -> state_hash).

    Gives those that it put in.
    """
    new: dict[str, str] = {}
    items = _by_subscription(batch.rows.get(SUBSCRIPTION_ITEMS.name, ()))
    discounts = _by_subscription(batch.rows.get(SUBSCRIPTION_DISCOUNTS.name, ()))
    for row in batch.rows.get(SUBSCRIPTIONS.name, []):
        mine, taken = items.get(row["id"], []), discounts.get(row["id"], [])
        digest = state_hash(row, mine, taken)
        if known.get(row["id"]) == digest:
            continue
        new[row["id"]] = digest
        observed = row["requested_at"]
        name = f"{row['id']}/{digest}/{observed.timestamp():.6f}"
        version = hashlib.sha256(name.encode()).hexdigest()[:32]
        cause = causes.get(row["id"])
        facts: Row = {
            "id": version,
            "subscription_id": row["id"],
            "state_hash": digest,
            "observed_at": observed,
            "event_id": cause.event_id if cause else None,
            "event_at": cause.created_at if cause else None,
            **{column: row.get(column) for column in STATE},
        }
        batch.add(SUBSCRIPTION_VERSIONS, "subscription", facts, is_deleted=row["is_deleted"])
        own = {"version_id": version, "subscription_id": row["id"]}
        batch.add_whole(
            SUBSCRIPTION_VERSION_ITEMS,
            "subscription_item",
            {
                version: [
                    {**_chosen(item, _ITEM), **own, "id": f"{version}/{item['id']}", "item_id": item["id"]}
                    for item in mine
                ]
            },
        )
        batch.add_whole(
            SUBSCRIPTION_VERSION_DISCOUNTS,
            "discount",
            {
                version: [
                    {**_chosen(entry, _names(SUBSCRIPTION_VERSION_DISCOUNTS)), **own}
                    | {"id": f"{version}/{number}"}
                    for number, entry in enumerate(taken)
                ]
            },
        )
    return new


def _chosen(row: Row, names: Iterable[str]) -> dict[str, Any]:
    return {name: row.get(name) for name in names}


def _by_subscription(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        if not row["is_deleted"]:
            found.setdefault(row["subscription_id"], []).append(row)
    return found
