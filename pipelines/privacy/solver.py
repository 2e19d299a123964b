"""What whole numbers are left possible by a set of linear constraints: exact for every value it calls possible.

The unknowns fall apart into components that no constraint connects. A component of one unknown is its interval; the others go
to HiGHS, a solver of mixed integer programs. Each solution it finds is checked again in exact arithmetic and kept: a
value counts as possible only if such a witness has it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import highspy

from pipelines.privacy.leaves import LeafKey

MOST_TRIES = 300
"""Single values of one target that are asked for, one by one, before it counts as narrowed."""
SECONDS = 20.0
"""Time for one question to the solver; without an answer by then nothing counts as shown."""

Unknown = LeafKey
Terms = Mapping[Unknown, int | Fraction]


@dataclass(frozen=True)
class Constraint:
    """low <= sum of terms <= high; None where there is no such bound."""

    terms: Terms
    low: Fraction | int | None
    high: Fraction | int | None

    def holds(self, values: Mapping[Unknown, int]) -> bool:
        """Tell, in exact arithmetic, whether values satisfy it."""
        total = sum(factor * values[unknown] for unknown, factor in self.terms.items())
        return (self.low is None or total >= self.low) and (self.high is None or total <= self.high)


@dataclass
class System:
    """Unknowns with their intervals, and what is known about them."""

    domains: dict[Unknown, tuple[int, int]] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)

    def components(self, targets: Iterable[Terms] = ()) -> "list[Component]":
        """Take the system apart; the unknowns of one target come to lie in one component."""
        parents: dict[Unknown, Unknown] = {unknown: unknown for unknown in self.domains}

        def root(unknown: Unknown) -> Unknown:
            while parents[unknown] != unknown:
                parents[unknown] = parents[parents[unknown]]
                unknown = parents[unknown]
            return unknown

        for terms in (*(constraint.terms for constraint in self.constraints), *targets):
            for other in terms:
                parents[root(other)] = root(next(iter(terms)))
        members: dict[Unknown, list[Unknown]] = defaultdict(list)
        for unknown in self.domains:
            members[root(unknown)].append(unknown)
        rules: dict[Unknown, list[Constraint]] = defaultdict(list)
        for constraint in self.constraints:
            if constraint.terms:
                rules[root(next(iter(constraint.terms)))].append(constraint)
        return [
            Component({unknown: self.domains[unknown] for unknown in found}, rules[top])
            for top, found in members.items()
        ]


class Component:
    """Unknowns that hang together, and every solution found for them so far."""

    def __init__(self, domains: Mapping[Unknown, tuple[int, int]], constraints: Sequence[Constraint]) -> None:
        self.domains = dict(domains)
        self.constraints = list(constraints)
        self.witnesses: list[dict[Unknown, int]] = []
        self._model: _Model | None = None
        self._rules_of: dict[Unknown, list[Constraint]] | None = None

    def is_possible(self) -> bool:
        """Tell whether anything satisfies all constraints."""
        if not self.constraints:
            return all(low <= high for low, high in self.domains.values())
        return bool(self.witnesses) or self._ask({}, None) is not None

    def lean(self, objective: Terms) -> bool:
        """Look for a solution with an objective as small as can be, to vary first.

        False only where it is proven that there is none: a solver that ran out of time has proven nothing.
        """
        found = self._ask(objective, None) is not None
        return found or self._model is None or not self._model.is_infeasible

    def can_be(self, target: Terms, value: int) -> bool:
        """Tell whether a target can have one value."""
        if any(_total(target, witness) == value for witness in self.witnesses):
            return True
        if any(_total(target, near) == value for near in self._varied(target)):
            return True
        return self._ask({}, (target, value)) is not None

    def values(self, target: Terms, enough: int, outside: tuple[int, int] | None = None) -> set[int]:
        """Give possible values of a target: all of them, or at least `enough`.

        With `outside` = (low, high) it also looks for a value that does not lie between them.
        """
        if not self.constraints:
            return self._free_values(target, enough, outside)
        found = {_total(target, witness) for witness in self.witnesses}

        def is_done() -> bool:
            beyond = outside is None or any(not outside[0] <= value <= outside[1] for value in found)
            return len(found) >= enough and beyond

        if is_done():
            return found
        for near in self._varied(target):
            found.add(_total(target, near))
            if is_done():
                return found
        extremes = []
        for sense in (1, -1):
            witness = self._ask({unknown: sense * factor for unknown, factor in target.items()}, None)
            if witness is None:
                return found
            extremes.append(_total(target, witness))
            found.add(extremes[-1])
        smallest, largest = extremes
        for value in range(smallest, min(largest, smallest + MOST_TRIES) + 1):
            if is_done():
                break
            if value not in found and self._ask({}, (target, value)) is not None:
                found.add(value)
        return found

    def _free_values(self, target: Terms, enough: int, outside: tuple[int, int] | None) -> set[int]:
        # Nothing connects the unknowns: the target takes what its intervals give, from one end to the other.
        low = {unknown: self.domains[unknown][factor < 0] for unknown, factor in target.items()}
        found = {_total(target, low)}
        for unknown, factor in target.items():
            step = 1 if factor > 0 else -1
            while low[unknown] != self.domains[unknown][factor > 0]:
                beyond = outside is None or any(not outside[0] <= value <= outside[1] for value in found)
                if len(found) >= enough and beyond:
                    return found
                low[unknown] += step
                found.add(_total(target, low))
        return found

    def _varied(self, target: Terms) -> Iterator[dict[Unknown, int]]:
        """Yield solutions near one that is known: an unknown moved, and another one with it where they balance each other.

        That is enough for most targets, and much cheaper than to ask the solver.
        """
        if not self.is_possible():
            return
        start = self.witnesses[0]
        for unknown in target:
            low, high = self.domains[unknown]
            values = {low, high, *range(max(low, start[unknown] - 5), min(high, start[unknown] + 5) + 1)}
            for value in sorted(values - {start[unknown]}):
                for moved in self._moves(start, unknown, value):
                    rules = {id(rule): rule for other in moved for rule in self._rules()[other]}
                    witness = start | moved
                    if all(rule.holds(witness) for rule in rules.values()):
                        self.witnesses.append(witness)
                        yield witness
                        break

    def _moves(
        self, start: Mapping[Unknown, int], unknown: Unknown, value: int
    ) -> Iterator[dict[Unknown, int]]:
        yield {unknown: value}
        step = value - start[unknown]
        for rule in self._rules()[unknown]:
            if rule.low != rule.high:
                continue
            for other, factor in rule.terms.items():
                shift = -Fraction(rule.terms[unknown]) * step / factor
                moved = start[other] + shift
                low, high = self.domains[other]
                if other != unknown and shift.denominator == 1 and low <= moved <= high:
                    yield {unknown: value, other: int(moved)}

    def _rules(self) -> dict[Unknown, list[Constraint]]:
        if self._rules_of is None:
            self._rules_of = defaultdict(list)
            for rule in self.constraints:
                for unknown in rule.terms:
                    self._rules_of[unknown].append(rule)
        return self._rules_of

    def _ask(self, objective: Terms, fixed: tuple[Terms, int] | None) -> dict[Unknown, int] | None:
        if self._model is None:
            self._model = _Model(self.domains, self.constraints)
        witness = self._model.solve(objective, fixed)
        if witness is None:
            return None
        if any(not low <= witness[unknown] <= high for unknown, (low, high) in self.domains.items()):
            return None
        if not all(constraint.holds(witness) for constraint in self.constraints):
            return None
        self.witnesses.append(witness)
        return witness


def _total(target: Terms, values: Mapping[Unknown, int]) -> int:
    return int(sum(factor * values[unknown] for unknown, factor in target.items()))


class _Model:
    """One component as HiGHS holds it."""

    def __init__(self, domains: Mapping[Unknown, tuple[int, int]], constraints: Sequence[Constraint]) -> None:
        self._places = {unknown: place for place, unknown in enumerate(domains)}
        self._solver = highspy.Highs()  # type: ignore[no-untyped-call]
        for name, value in (
            ("output_flag", False),
            ("threads", 1),
            ("random_seed", 0),
            ("time_limit", SECONDS),
            ("mip_rel_gap", 0.0),
            ("mip_abs_gap", 0.5),
        ):
            self._solver.setOptionValue(name, value)
        for low, high in domains.values():
            self._solver.addCol(0.0, float(low), float(high), 0, [], [])
        for place in range(len(domains)):
            self._solver.changeColIntegrality(place, highspy.HighsVarType.kInteger)
        for constraint in constraints:
            self._add_row(constraint.terms, constraint.low, constraint.high)
        self._rows = len(constraints)
        self.is_infeasible = False
        """Whether the last question was proven to have no answer."""
        self._priced: list[int] = []

    def solve(self, objective: Terms, fixed: tuple[Terms, int] | None) -> dict[Unknown, int] | None:
        for place in self._priced:
            self._solver.changeColCost(place, 0.0)
        self._priced = [self._places[unknown] for unknown in objective]
        for unknown, factor in objective.items():
            self._solver.changeColCost(self._places[unknown], float(factor))
        if fixed is not None:
            self._add_row(fixed[0], fixed[1], fixed[1])
        self._solver.run()
        status = self._solver.getModelStatus()
        solution = self._solver.getSolution().col_value
        if fixed is not None:
            self._solver.deleteRows(1, [self._rows])
        # Every unknown is bounded: what is unbounded or infeasible is infeasible.
        self.is_infeasible = status in {
            highspy.HighsModelStatus.kInfeasible,
            highspy.HighsModelStatus.kUnboundedOrInfeasible,
        }
        if status != highspy.HighsModelStatus.kOptimal:
            return None
        return {unknown: round(solution[place]) for unknown, place in self._places.items()}

    def _add_row(self, terms: Terms, low: Fraction | int | None, high: Fraction | int | None) -> None:
        self._solver.addRow(
            -highspy.kHighsInf if low is None else float(low),
            highspy.kHighsInf if high is None else float(high),
            len(terms),
            [self._places[unknown] for unknown in terms],
            [float(factor) for factor in terms.values()],
        )
