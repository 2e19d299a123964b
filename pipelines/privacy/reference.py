"""What protection means, in whole numbers: the macros in macros/protection.sql give the same on either warehouse.

A leaf is a small group in which each user, or each event, is counted once at most. `units` is its count, `users`
how many people stand behind it, `contributors_key` the exclusive-or of their record keys.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


def noise(contributors_key: int, units: int, draw: int = 0) -> int:
    """60 bits of SHA-256, the first ones for the draw 0: the same people and count give the same figure wherever they are counted."""
    digits = hashlib.sha256(f"cell|{contributors_key}|{units}".encode()).hexdigest()
    return int(digits[7 * draw : 7 * draw + 15], 16)


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


FAILING_BUCKETS = {"1": 1, "2": 2, "3_to_5": 3, "6_or_more": 6}
"""Buckets of users whose tests failed, with how many failed tests of a day a user of each has at least."""
DRAWS = 8
"""How many times the chance of a period is drawn at most: so many parts of 15 digits, 7 apart, are in 64."""
UNLIMITED = 10**6


def most_users_behind(rounding: Rounding, shown: int) -> int:
    """Give the largest count of people that a shown figure stands for."""
    return shown + rounding.base - 1 if shown else rounding.threshold - 1


@dataclass(frozen=True)
class ShownPeriod:
    """What is shown of the users of one period, and how many tests there can have been at most."""

    success: Sequence[int]
    """Users with a success, by cell."""
    other: Sequence[int]
    """Users without one."""
    clean: int
    """Users of whom no test failed."""
    failing: Mapping[str, int]
    """Users by bucket of failed tests, in the order of FAILING_BUCKETS."""
    most_successes: int = UNLIMITED
    most_errors: int = UNLIMITED
    rounding: Rounding = field(default_factory=Rounding)

    def columns(self) -> dict[str, int]:
        """Give the sums that the condition is made of, by the names that they have in SQL."""
        found = {}
        for name, figures in (
            ("success", self.success),
            ("other", self.other),
            ("clean", [self.clean]),
            ("failing", list(self.failing.values())),
        ):
            found[f"{name}_least"] = sum(self._least(shown) for shown in figures)
            found[f"{name}_most"] = sum(most_users_behind(self.rounding, shown) for shown in figures)
            found[f"{name}_rise"] = max(self._rise(shown) for shown in figures)
            found[f"{name}_fall"] = max(self._fall(shown) for shown in figures)
        for bucket, shown in self.failing.items():
            found[f"room_{bucket}"] = most_users_behind(self.rounding, shown) - self._least(shown)
            found[f"rise_{bucket}"] = self._rise(shown)
        least_tests = sum(
            FAILING_BUCKETS[bucket] * self._least(shown) for bucket, shown in self.failing.items()
        )
        is_limited = self.most_errors < UNLIMITED
        return found | {
            "most_successes": self.most_successes,
            "spare_errors": self.most_errors - least_tests if is_limited else UNLIMITED,
        }

    def _least(self, shown: int) -> int:
        return least_users_behind(self.rounding, shown)

    def _rise(self, shown: int) -> int:
        threshold, base = self.rounding.threshold, self.rounding.base
        return threshold - 1 if shown == threshold else base - 1 if shown else 0

    def _fall(self, shown: int) -> int:
        return self.rounding.base - 1 if shown else self.rounding.threshold - 1


def prove_nothing_together(period: ShownPeriod) -> bool:
    """Tell whether the figures of a period leave every count, all taken together, what it has by itself.

    That is five values, none for a 0, and the threshold for a threshold. Whoever had no success failed, and whoever never
    failed had one: so as many with a success are not clean as, of those who failed, are not without one.
    """
    column = period.columns()

    def failing(held: str = "", raised: str = "") -> int:
        return _most_users_failing(column, held, raised)

    successful = min(column["success_most"], column["most_successes"])
    both_by_success = max(0, column["success_least"] - column["clean_most"])
    both_by_failure = max(0, column["failing_least"] - column["other_most"])
    fallen = min(column["success_most"] - column["success_fall"], column["most_successes"])
    return (
        fallen - column["clean_least"] >= both_by_failure
        and successful - column["clean_least"] - column["clean_rise"] >= both_by_failure
        and successful - column["clean_least"]
        >= column["failing_least"] - column["other_most"] + max(column["other_fall"], column["failing_rise"])
        and failing() - column["other_least"]
        >= column["success_least"] - column["clean_most"] + max(column["success_rise"], column["clean_fall"])
        and failing() - column["other_least"] - column["other_rise"] >= both_by_success
        and all(
            column["spare_errors"] >= weight * column[f"rise_{bucket}"]
            and failing(held=bucket) - column["other_least"] >= both_by_success
            and failing(raised=bucket) - column["other_least"] >= both_by_success
            for bucket, weight in FAILING_BUCKETS.items()
        )
    )


def _most_users_failing(column: Mapping[str, int], held: str, raised: str) -> int:
    """Give the most users whose tests can have failed where one bucket is held at its least or raised above it."""
    found, spare = column["failing_least"], column["spare_errors"]
    if raised:
        found += column[f"rise_{raised}"]
        spare -= FAILING_BUCKETS[raised] * column[f"rise_{raised}"]
    for bucket, weight in FAILING_BUCKETS.items():
        if bucket not in {held, raised}:
            room = column[f"room_{bucket}"]
            found += max(0, min(room, spare // weight))
            spare -= weight * room
    return found
