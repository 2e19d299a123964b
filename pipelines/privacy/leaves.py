"""What is measured for publication: the families of leaves, and what a protected figure says about the true count.

A leaf is a small group in which each user, or event, falls at most once. Nothing else is ever measured; this list is what
the audit accepts, whatever a manifest claims.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

ENGAGEMENT_CELLS = ("new_success", "new_other", "returning_success", "returning_other")
BUCKET_CELLS = ("0", "1", "2", "3_to_5", "6_or_more")
BASE = "base"
"""The cell of what had come together before the first released day."""

MOST_LATENESS_DAYS = 3650
MOST_EVENTS = 10**6
"""Events behind a figure that says nothing about how many there are."""


@dataclass(frozen=True)
class Family:
    """Leaves of one kind: what they count and which cells they have at each grain."""

    unit: str
    """user or event"""
    cells: Mapping[str, tuple[str, ...]]
    """The cells of each grain at which the family is measured; none stands for whatever cells there are."""
    cap: str | None = None
    """The parameter that limits what one user adds to a cell."""
    users: tuple[tuple[str, str], ...] = ()
    """User leaves of the same day that hold every user behind a cell of this family."""
    own_users: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """The same for single cells, where fewer leaves hold them."""


_ACTIVE = tuple(("engagement_users", cell) for cell in ENGAGEMENT_CELLS)
_SUCCESSFUL = tuple(("engagement_users", cell) for cell in ("new_success", "returning_success"))
_FAILED = tuple(("error_buckets", cell) for cell in BUCKET_CELLS[1:])

FAMILIES: dict[str, Family] = {
    "engagement_users": Family(
        "user", {"day": ENGAGEMENT_CELLS, "week": ("success", "other"), "month": ("success", "other")}
    ),
    "error_buckets": Family("user", dict.fromkeys(("day", "week", "month"), BUCKET_CELLS)),
    "accounts": Family("user", {"day": ("with_test", "without_test")}),
    "tests": Family(
        "event",
        {"day": ("success", "error")},
        "test_cap",
        own_users={"success": _SUCCESSFUL, "error": _FAILED},
    ),
    "sessions": Family(
        "event",
        {"day": ("first_try", "second_try", "third_or_later", "unsuccessful")},
        "session_cap",
        users=_ACTIVE,
    ),
    "errors": Family("event", {"day": ()}, "error_cap", users=_FAILED),
    "late_events": Family("event", {"month": ("events",)}),
}
WITH_BASE = ("accounts", "engagement_users")


class LeafKey(NamedTuple):
    """Names one leaf."""

    family: str
    grain: str
    start: dt.date
    cell: str

    def __str__(self) -> str:
        return f"{self.family}/{self.cell} of the {self.grain} {self.start}"


@dataclass(frozen=True)
class Parameters:
    """What the figures of some periods were protected with."""

    threshold: int
    base: int
    lateness_days: int
    test_cap: int
    error_cap: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Parameters":
        """Read them from a row of release_parameters; raises KeyError, TypeError or ValueError for what is none."""
        if row["mode"] != "rounded":
            raise ValueError(f"the mode '{row['mode']}' is not known")
        names = ("threshold", "base", "lateness_days", "test_cap", "error_cap")
        found = cls(*(int(row[name]) for name in names))
        if found.base < 1 or found.threshold < 1 or found.threshold % found.base:
            raise ValueError("the base does not divide the threshold")
        if min(found.test_cap, found.error_cap) < 1 or not 0 <= found.lateness_days <= MOST_LATENESS_DAYS:
            raise ValueError("a cap or privacy_lateness_days is none")
        return found


def users_behind(key: LeafKey) -> list[LeafKey]:
    """Name the user leaves that together hold all users behind an event leaf; none where there are none."""
    family = FAMILIES[key.family]
    leaves = family.own_users.get(key.cell, family.users)
    return [LeafKey(name, key.grain, key.start, cell) for name, cell in leaves]


def is_possible(key: LeafKey, value: int | None, parameters: Parameters) -> bool:
    """Tell whether the protection can give this figure at all."""
    if FAMILIES[key.family].unit == "user" and value == 0:
        return True
    if value is None:
        return FAMILIES[key.family].unit == "event"
    return value >= parameters.threshold and value % parameters.base == 0


def true_counts(key: LeafKey, value: int | None, parameters: Parameters) -> tuple[int, int]:
    """Give the smallest and the largest true count behind a figure; those between are possible too."""
    threshold, base = parameters.threshold, parameters.base
    if FAMILIES[key.family].unit == "user":
        if not value:
            return 0, threshold - 1
        return (1 if value == threshold else max(threshold, value - base + 1)), value + base - 1
    if value is None:
        # Few users: but one may be nobody in particular, whose events no cap limits.
        return 0, MOST_EVENTS
    return max(threshold, value - base + 1), value + base - 1
