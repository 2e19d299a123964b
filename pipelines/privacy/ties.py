"""What ties a week or a month to the periods within it, unless somebody was erased in between.

Events that come late add to a week and not to its days, which were released before: so these are all of the form that
the longer period has no fewer people. An erasure can make them untrue; an attacker who does not know of one takes
them for true all the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.privacy.facts import FACTS
from pipelines.privacy.floors import FROM_ABOVE, Period, parts_of
from pipelines.privacy.leaves import FAMILIES, LeafKey
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.solver import Constraint

TIES = (
    "unless somebody was erased in between, a week or month has all users of a part of it (a day, or a week within a month), "
    "and all who are new on later days besides: the same of those with a success",
    "and as many users of bucket n and higher ones as each part of it",
)
"""The ties in words."""
KNOWN = (*FACTS, *TIES)
"""All that an attacker goes by, in words, as manifests repeat them."""


@dataclass(frozen=True)
class Nest:
    """A week or month with everything that is released of it and of the periods within it."""

    whole: Period
    leaves: Sequence[LeafKey]
    ties: Sequence[Constraint]


def nests_of(ledger: Ledger) -> Iterator[Nest]:
    """Yield each released week and month with its parts."""
    for grain in ("week", "month"):
        for start in sorted(ledger.periods("engagement_users", grain)):
            whole = Period(grain, start)
            parts = parts_of(ledger, whole)
            leaves = [
                key
                for period in (whole, *parts)
                for family in FAMILIES
                for key in ledger.cells(family, period.grain, period.start)
            ]
            known = set(leaves)
            ties = [tie for tie in _ties(whole, parts) if known.issuperset(tie.terms)]
            yield Nest(whole, leaves, ties)


def _ties(whole: Period, parts: Sequence[Period]) -> Iterator[Constraint]:
    for part in parts:
        later = [day for day in parts if day.grain == "day" and day.start > part.end]
        for ending, new in (
            (("success",), ("new_success",)),
            (("success", "other"), ("new_success", "new_other")),
        ):
            terms = dict.fromkeys(_engaged(whole, ending), 1)
            terms |= dict.fromkeys(_engaged(part, ending), -1)
            terms |= {
                LeafKey("engagement_users", "day", day.start, cell): -1 for day in later for cell in new
            }
            yield Constraint(terms, 0, None)
        for _, cells in FROM_ABOVE[:-1]:
            terms = dict.fromkeys(_buckets(whole, cells), 1) | dict.fromkeys(_buckets(part, cells), -1)
            yield Constraint(terms, 0, None)


def _engaged(period: Period, endings: tuple[str, ...]) -> Iterator[LeafKey]:
    for cell in FAMILIES["engagement_users"].cells[period.grain]:
        if cell.endswith(endings):
            yield LeafKey("engagement_users", period.grain, period.start, cell)


def _buckets(period: Period, cells: Iterable[str]) -> Iterator[LeafKey]:
    for cell in cells:
        yield LeafKey("error_buckets", period.grain, period.start, cell)


def is_needed(tie: Constraint, domains: Mapping[LeafKey, tuple[int, int]]) -> bool:
    """Tell whether a tie says anything beyond the intervals of its leaves."""
    assert tie.low is not None
    return sum(factor * domains[leaf][factor < 0] for leaf, factor in tie.terms.items()) < tie.low
