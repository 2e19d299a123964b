"""What protection means, in whole numbers: the macros in macros/protection.sql give the same on either warehouse.

A leaf is a small group in which each user, or each event, is counted once at most. `units` is its count, `users`
how many people stand behind it, `contributors_key` the exclusive-or of their record keys.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import xor


@dataclass(frozen=True)
class Rounding:
    """The parameters of the mode `rounded`."""

    threshold: int = 10
    """k: under so many users nothing true is shown."""
    base: int = 5
    """b: what is shown is a multiple of it; it divides the threshold."""


def contributors_key(record_keys: Iterable[int]) -> int:
    """Stand for a set of people: the exclusive-or of their record keys, 0 for nobody."""
    return reduce(xor, record_keys, 0)


def noise(contributors_key: int, units: int) -> int:
    """The first 60 bits of SHA-256: the same people and count give the same figure wherever they are counted."""
    return int(hashlib.sha256(f"cell|{contributors_key}|{units}".encode()).hexdigest()[:15], 16)


def rounded(rounding: Rounding, units: int, contributors_key: int) -> int:
    """Round to a multiple of the base, up or down, so that the figure is right on average."""
    rest = units % rounding.base
    up = noise(contributors_key, units) % rounding.base < rest
    return units - rest + (rounding.base if up else 0)


def protected_users(rounding: Rounding, units: int, contributors_key: int) -> int:
    """Give the figure shown for a leaf that counts people; under the threshold k it is k or 0, right on average."""
    if units >= rounding.threshold:
        return rounded(rounding, units, contributors_key)
    shown = noise(contributors_key, units) % rounding.threshold < units
    return rounding.threshold if shown else 0


def protected_events(rounding: Rounding, units: int, users: int, contributors_key: int) -> int | None:
    """Give the figure shown for a leaf that counts events; None where too few people stand behind it."""
    return rounded(rounding, units, contributors_key) if users >= rounding.threshold else None


def protected_tests(
    rounding: Rounding, units: int, users: int, contributors_key: int, shown_users: int, lower_bound: int
) -> int | None:
    """Give the figure shown for tests, beside figures that say something about them too.

    `shown_users` is how many users made them, protected: where that is 0 the figure is None, since one withheld beside
    users shown would prove that there are some, but fewer than the threshold. `lower_bound` is how many tests the others
    prove: the figure is never below it, so that as many counts stay possible as it has alone.
    """
    if shown_users == 0:
        return None
    bound = lower_bound + -lower_bound % rounding.base
    if users < rounding.threshold:
        return max(shown_users, bound)
    return max(rounded(rounding, units, contributors_key), bound)


def least_users_behind(rounding: Rounding, shown: int) -> int:
    """Give the least count of people that a shown figure stands for."""
    if shown > rounding.threshold:
        return shown - rounding.base + 1
    return 1 if shown else 0


def least_events_behind(rounding: Rounding, shown: int | None) -> int:
    """Give the least count of events that a shown figure stands for; 0 where it is withheld."""
    return 0 if shown is None else max(shown - rounding.base + 1, rounding.threshold)
