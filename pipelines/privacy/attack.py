"""The attack itself: what stays possible for every leaf, total and difference when all is put together."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipelines.privacy.explaining import Guess
from pipelines.privacy.export import Export
from pipelines.privacy.facts import counts_behind, facts_of
from pipelines.privacy.floors import LIFTED
from pipelines.privacy.leaves import BASE, LeafKey, Parameters
from pipelines.privacy.ledger import LEDGER_TABLE, Ledger
from pipelines.privacy.ledger_checks import Reading
from pipelines.privacy.periods import period_before
from pipelines.privacy.solver import Component, Constraint, System, Terms
from pipelines.privacy.ties import Nest, is_needed, nests_of

FEWEST = 5
"""Possible values that every count has to keep."""
MOST_GUESSES = 400
"""Numbers without an explanation that are tried as constraints one by one; there is no need for more to reject."""

Progress = Callable[[str], None]


def snapshots_of(readings: Sequence[Reading], whole: Ledger) -> list[Constraint]:
    """Take a leaf that was shown with two figures for measured twice: each says something about one true count."""
    found = []
    for reading in readings:
        for key, release in reading.ledger.releases.items():
            if release.value != whole.value(key):
                low, high = counts_behind(reading.ledger, key, reading.parameters[release.parameters_id])
                found.append(Constraint({key: 1}, low, high))
    return found


def solve(
    export: Export,
    ledger: Ledger,
    parameters: Mapping[str, Parameters],
    snapshots: Sequence[Constraint],
    guesses: Sequence[Guess],
    progress: Progress,
) -> None:
    """Note every leaf, total and difference of which too much is known."""
    domains = {
        key: counts_behind(ledger, key, parameters[release.parameters_id])
        for key, release in ledger.releases.items()
    }
    system = System(dict(domains), list(facts_of(ledger, parameters)))
    believed, causes = _believe(system, snapshots, guesses)
    totals = _totals(ledger, believed)
    rows = {key: number for number, key in enumerate(ledger.releases, start=1)}
    components = system.components(totals)
    place = {key: number for number, part in enumerate(components) for key in part.domains}
    targets: dict[int, list[Terms]] = defaultdict(list)
    for total in totals:
        targets[place[next(iter(total))]].append(total)
    for total in _differences(ledger, place, believed):
        targets[place[next(iter(total))]].append(total)
    answers: dict[object, list[tuple[int, bool]]] = {}
    for number, component in enumerate(components):
        leaves = list(component.domains)
        threshold = parameters[ledger.releases[leaves[0]].parameters_id].threshold
        asked: list[Terms] = [{leaf: 1} for leaf in leaves]
        asked += targets[number]
        form = (threshold, _form(component, asked))
        if form not in answers:
            answers[form] = list(_answers(component, asked, len(leaves), threshold))
            if len(answers) % 100 == 0:
                progress(f"Solved {number + 1:,} of {len(components):,} groups of leaves")
        for terms, (count, is_proven) in zip(asked, answers[form], strict=True):
            if is_proven or (count < FEWEST and not _is_small(ledger, terms, component, causes)):
                _reject(export, rows, terms, count, is_proven, _origin(causes, component))
    _solve_nests(export, ledger, parameters, system, rows, progress)


def _solve_nests(
    export: Export,
    ledger: Ledger,
    parameters: Mapping[str, Parameters],
    system: System,
    rows: Mapping[LeafKey, int],
    progress: Progress,
) -> None:
    """Note what is known too much of when each week and month is put together with its days."""
    rules: dict[LeafKey, list[Constraint]] = defaultdict(list)
    for constraint in system.constraints:
        if constraint.terms:
            rules[next(iter(constraint.terms))].append(constraint)
    answers: dict[object, list[tuple[int, bool]]] = {}
    noted: set[frozenset[LeafKey]] = set()
    for nest in nests_of(ledger):
        domains = {leaf: system.domains[leaf] for leaf in nest.leaves}
        ties = [tie for tie in nest.ties if is_needed(tie, domains)]
        inside = [
            rule
            for leaf in nest.leaves
            for rule in rules.get(leaf, ())
            if domains.keys() >= rule.terms.keys()
        ]
        tied = {leaf for tie in ties for leaf in tie.terms}
        threshold = parameters[ledger.releases[nest.leaves[0]].parameters_id].threshold
        for component in System(domains, [*inside, *ties]).components():
            if not tied.intersection(component.domains):
                continue
            asked = _tied(component)
            shown = [ledger.value(next(iter(terms))) if len(terms) == 1 else None for terms in asked]
            form = (threshold, tuple(shown), _form(component, asked))
            if form not in answers:
                answers[form] = list(_answers_in_nest(component, nest, asked, shown, threshold))
            for terms, (count, is_proven) in zip(asked, answers[form], strict=True):
                if (is_proven or count < FEWEST) and frozenset(terms) not in noted:
                    noted.add(frozenset(terms))
                    known_from = (
                        f" (known from the {nest.whole.grain} {nest.whole.start} and the periods within it)"
                    )
                    _reject(export, rows, terms, count, is_proven, known_from)
        progress(f"Put together the {nest.whole.grain} {nest.whole.start} and the periods within it")


def _tied(component: Component) -> list[Terms]:
    """Name the users of each cell of a component, and of each period."""
    periods: dict[object, list[LeafKey]] = defaultdict(list)
    for leaf in component.domains:
        if leaf.family in LIFTED:
            periods[leaf.family, leaf.grain, leaf.start].append(leaf)
    asked: list[Terms] = [{leaf: 1} for leaves in periods.values() for leaf in leaves]
    return asked + [dict.fromkeys(leaves, 1) for leaves in periods.values() if len(leaves) > 1]


def _answers_in_nest(
    component: Component, nest: Nest, asked: Sequence[Terms], shown: Sequence[int | None], threshold: int
) -> Iterator[tuple[int, bool]]:
    """Give the same as for a single period; nothing is known where no numbers satisfy the ties: somebody was erased."""
    # Where the whole has many and its parts have few, most counts can be moved by themselves.
    is_possible = component.lean(
        {
            leaf: -len(asked) if (leaf.grain, leaf.start) == (nest.whole.grain, nest.whole.start) else 1
            for leaf in component.domains
            if leaf.family in LIFTED
        }
    )
    for terms, value in zip(asked, shown, strict=True):
        if not is_possible or (value == 0 and component.can_be(terms, 0)):
            yield FEWEST, False
        else:
            yield _answer(component, terms, threshold if len(terms) == 1 else None)


def _is_small(ledger: Ledger, terms: Terms, component: Component, causes: Mapping[LeafKey, str]) -> bool:
    """Tell whether a leaf is shown as 0 and can be 0: that what is published beside it leaves room for few is no secret.

    Where fewer than 24 tests failed in a day, not even four users can have failed six times.
    """
    [leaf, *others] = terms
    if others or ledger.value(leaf) != 0 or any(known in causes for known in component.domains):
        return False
    return 0 in component.values(terms, FEWEST)


def _answers(
    component: Component, asked: Sequence[Terms], leaves: int, threshold: int
) -> Iterator[tuple[int, bool]]:
    """Give for each question the number of possible values, up to FEWEST, and whether 1 to threshold - 1 is proven."""
    for number, terms in enumerate(asked):
        yield _answer(component, terms, threshold if number < leaves else None)


def _answer(component: Component, terms: Terms, threshold: int | None) -> tuple[int, bool]:
    outside = None if threshold is None else (1, threshold - 1)
    values = component.values(terms, FEWEST, outside)
    is_proven = (
        outside is not None and bool(values) and all(outside[0] <= value <= outside[1] for value in values)
    )
    return len(values), is_proven


def _form(component: Component, asked: Sequence[Terms]) -> object:
    """Give what two components have in common if the same is known of them and asked."""
    numbers = {unknown: number for number, unknown in enumerate(component.domains)}
    return (
        tuple(component.domains.values()),
        tuple(
            (
                tuple((numbers[unknown], factor) for unknown, factor in constraint.terms.items()),
                constraint.low,
                constraint.high,
            )
            for constraint in component.constraints
        ),
        tuple(tuple((numbers[unknown], factor) for unknown, factor in terms.items()) for terms in asked),
    )


def _believe(
    system: System, snapshots: Sequence[Constraint], guesses: Sequence[Guess]
) -> tuple[list[Guess], dict[LeafKey, str]]:
    """Add to the system what can be true besides: second snapshots, and numbers read as made from true counts."""
    causes: dict[LeafKey, str] = {}
    for constraint in snapshots:
        if _is_possible_with(system, [constraint]):
            system.constraints.append(constraint)
            causes |= dict.fromkeys(constraint.terms, "two figures of one period")
    believed: list[Guess] = []
    settled = set()
    for guess in guesses[:MOST_GUESSES]:
        place = guess.finding
        if place in settled or not _is_possible_with(system, guess.constraints):
            continue
        settled.add(place)
        believed.append(guess)
        system.constraints += guess.constraints
        for key in (*guess.quotient.above, *(guess.quotient.below or ())):
            causes.setdefault(key, f"{place.file}, row {place.row}, column {place.column}")
    return believed, causes


def _is_possible_with(system: System, more: Sequence[Constraint]) -> bool:
    wanted = {unknown for constraint in more for unknown in constraint.terms}
    trial = System(system.domains, [*system.constraints, *more])
    parts = [part for part in trial.components() if wanted & set(part.domains)]
    return all(part.is_possible() for part in parts)


def _totals(ledger: Ledger, believed: Sequence[Guess]) -> list[Terms]:
    """Name the sums that nobody may know either: of each family in each period, and what wrong numbers were made from."""
    families: dict[object, list[LeafKey]] = defaultdict(list)
    for key in ledger.releases:
        if key.cell != BASE and key.family in {"engagement_users", "error_buckets"}:
            families[key.family, key.grain, key.start].append(key)
    totals: list[Terms] = [dict.fromkeys(keys, 1) for keys in families.values() if len(keys) > 1]
    for guess in believed:
        totals.append(dict(guess.quotient.above))
        if guess.quotient.below:
            totals.append(dict(guess.quotient.below))
    return totals


def _differences(ledger: Ledger, place: Mapping[LeafKey, int], believed: Sequence[Guess]) -> Iterator[Terms]:
    """Name the differences between a period and the one before where something connects the two.

    Where nothing does, a difference has at least as many values as either.
    """
    if not believed:
        return
    for key in ledger.releases:
        before = key._replace(start=period_before(key.grain, key.start))
        if before in place and place[before] == place[key]:
            yield {key: 1, before: -1}


def _origin(causes: Mapping[LeafKey, str], component: Component) -> str:
    origins = [causes[leaf] for leaf in component.domains if leaf in causes]
    return f" (known from {origins[0]})" if origins else ""


def _reject(
    export: Export,
    rows: Mapping[LeafKey, int],
    terms: Terms,
    count: int,
    is_proven: bool,
    known_from: str,
) -> None:
    leaves = list(terms)
    if len(leaves) == 1:
        what, row = str(leaves[0]), rows.get(leaves[0])
    else:
        signs = {factor > 0 for factor in terms.values()}
        kind = "the difference of" if len(signs) > 1 else "the total of"
        named = ", ".join(str(leaf) for leaf in leaves[:2])
        what, row = f"{kind} {named}{' …' if len(leaves) > 2 else ''}", None
    if count == 0:
        problem = f"{what} has no possible value: the figures contradict each other{known_from}"
    elif is_proven:
        problem = f"{what} is proven to lie between 1 and the threshold{known_from}"
    else:
        problem = f"{what} has only {count} possible value{'s' if count > 1 else ''}{known_from}"
    export.reject(f"{LEDGER_TABLE}.csv", problem, row, "value")
