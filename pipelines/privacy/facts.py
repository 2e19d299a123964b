"""What holds for the true counts whatever the data are: the links between leaves that an attacker can count on.

They follow from the definitions of the leaves, which are public, and hold because the leaves of one period are
measured at the same moment. Links between periods (a week and its days) are in ties.py: an erasure may come between.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from itertools import combinations

from pipelines.privacy.floors import floor_of, is_floored
from pipelines.privacy.leaves import (
    BUCKET_CELLS,
    ENGAGEMENT_CELLS,
    FAMILIES,
    MOST_EVENTS,
    LeafKey,
    Parameters,
    true_counts,
    users_behind,
)
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.solver import Constraint

FACTS = (
    "error_buckets and engagement_users of a period count the same people",
    "whose tests never failed had a success: engagement_users with a success >= error_buckets/0",
    "a success of a day needs a test: tests/success >= new_success + returning_success",
    "a user of bucket n has failed n times, which caps may cut off: tests/error, and the sum of errors, >= 1 x '1' + 2 x '2' + "
    "3 x '3_to_5' + 6 x '6_or_more'",
    "a session that succeeds at the first try begins with a success: tests/success >= sessions/first_try",
    "each error is a failed test: tests/error >= as many cells of errors as fit under its cap",
    "an event leaf that is shown, and tests above their floor, have at least threshold - 1 users behind them",
)
"""The facts in words, as manifests repeat them."""

_SUCCESSES = {"new_success": 1, "returning_success": 1}
_FAILURES = {"1": 1, "2": 2, "3_to_5": 3, "6_or_more": 6}


def shown_users(ledger: Ledger, key: LeafKey) -> int:
    """Sum the published users behind an event leaf."""
    return sum(ledger.value(leaf) or 0 for leaf in users_behind(key))


def floor(ledger: Ledger, key: LeafKey, parameters: Parameters) -> int:
    """Give the smallest figure that a leaf of `tests` may show: what the published leaves beside it need at least.

    So much that each of them keeps as many values below it as it has by itself.
    """

    def least(family: str, *cells: str) -> list[int]:
        leaves = [LeafKey(family, "day", key.start, cell) for cell in cells]
        return [smallest_shown(leaf, ledger.value(leaf), parameters) for leaf in leaves]

    if key.cell == "success":
        needed = max(
            _room(ledger, key, "engagement_users", _SUCCESSES, parameters),
            *least("sessions", "first_try"),
        )
    else:
        errors = [leaf.cell for leaf in ledger.cells("errors", "day", key.start)]
        needed = max(
            _room(ledger, key, "error_buckets", _FAILURES, parameters),
            sum(least("errors", *errors)),
            sum(least("sessions", "second_try", "third_or_later", "unsuccessful")),
        )
    return -(-needed // parameters.base) * parameters.base


def _room(
    ledger: Ledger, key: LeafKey, family: str, weights: Mapping[str, int], parameters: Parameters
) -> int:
    """Give what cells that count `weight` tests for each user need, for each of them to keep its values below the figure."""
    needed = more = 0
    for cell, weight in weights.items():
        leaf = LeafKey(family, "day", key.start, cell)
        value = ledger.value(leaf)
        if value:
            smallest = smallest_shown(leaf, value, parameters)
            # A leaf that is shown as the threshold must be able to be it.
            kept = parameters.threshold - smallest if value == parameters.threshold else parameters.base - 1
            needed += weight * smallest
            more = max(more, weight * kept - (parameters.base - 1))
    return needed + more


def smallest_shown(key: LeafKey, value: int | None, parameters: Parameters) -> int:
    """Give the smallest count that a figure leaves possible; 0 where nothing is shown."""
    return true_counts(key, value, parameters)[0] if value else 0


def says_nothing(ledger: Ledger, key: LeafKey, parameters: Parameters) -> bool:
    """Tell whether a figure of `tests` is the one that stands there for few users, whatever they did."""
    return ledger.value(key) == max(shown_users(ledger, key), floor(ledger, key, parameters))


def counts_behind(ledger: Ledger, key: LeafKey, parameters: Parameters) -> tuple[int, int]:
    """Give the smallest and the largest true count behind a released figure, as long as nothing else is known."""
    if key.family == "tests" and says_nothing(ledger, key, parameters):
        return 0, MOST_EVENTS
    value = ledger.value(key)
    low, high = true_counts(key, value, parameters)
    if key.family == "tests":
        is_lifted = value == floor(ledger, key, parameters)
    else:
        is_lifted = bool(value) and is_floored(key) and (value or 0) <= floor_of(ledger, key, parameters)
    return (0 if is_lifted else low), high


def facts_of(ledger: Ledger, parameters: Mapping[str, Parameters]) -> Iterator[Constraint]:
    """Yield every fact that holds for the released leaves."""
    for grain, users in FAMILIES["engagement_users"].cells.items():
        for start in sorted(ledger.periods("engagement_users", grain)):
            terms: dict[LeafKey, int] = {}
            terms |= {LeafKey("engagement_users", grain, start, cell): 1 for cell in users}
            terms |= {LeafKey("error_buckets", grain, start, cell): -1 for cell in BUCKET_CELLS}
            yield from _known(ledger, terms, 0, 0)
            terms = {
                LeafKey("engagement_users", grain, start, cell): 1 for cell in users if "success" in cell
            }
            terms |= {LeafKey("error_buckets", grain, start, BUCKET_CELLS[0]): -1}
            yield from _known(ledger, terms, 0, None)
    for start in sorted(ledger.periods("tests", "day")):
        yield from _facts_of_tests(ledger, start, parameters)
    for key, release in ledger.releases.items():
        users_leaves = users_behind(key)
        if release.value is None or not users_leaves:
            continue
        own = parameters[release.parameters_id]
        if key.family == "tests" and says_nothing(ledger, key, own):
            continue
        yield from _known(ledger, dict.fromkeys(users_leaves, 1), own.threshold - 1, None)


def _facts_of_tests(
    ledger: Ledger, start: dt.date, parameters: Mapping[str, Parameters]
) -> Iterator[Constraint]:
    success, error = (LeafKey("tests", "day", start, cell) for cell in ("success", "error"))
    engaged = {LeafKey("engagement_users", "day", start, cell): -1 for cell in ENGAGEMENT_CELLS[::2]}
    yield from _known(ledger, {success: 1, **engaged}, 0, None)
    yield from _known(ledger, {success: 1, LeafKey("sessions", "day", start, "first_try"): -1}, 0, None)
    if error not in ledger.releases:
        return
    own = parameters[ledger.releases[error].parameters_id]
    kinds = ledger.cells("errors", "day", start)
    shown = [leaf for leaf in kinds if ledger.value(leaf) is not None]
    yield from _known(ledger, {error: 1, **_failed(start, own.test_cap)}, 0, None)
    if shown == kinds:
        yield from _known(ledger, {**dict.fromkeys(kinds, 1), **_failed(start, own.error_cap)}, 0, None)
    for few in combinations(shown, min(len(shown), own.test_cap // own.error_cap)):
        yield from _known(ledger, {error: 1, **dict.fromkeys(few, -1)}, 0, None)


def _failed(start: dt.date, cap: int) -> dict[LeafKey, int]:
    return {LeafKey("error_buckets", "day", start, cell): -min(each, cap) for cell, each in _FAILURES.items()}


def _known(ledger: Ledger, terms: dict[LeafKey, int], low: int, high: int | None) -> Iterator[Constraint]:
    if all(leaf in ledger.releases for leaf in terms):
        yield Constraint(terms, low, high)
