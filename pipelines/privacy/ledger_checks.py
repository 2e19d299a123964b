"""The first look at an export's ledger: whether honest protection can have made it at all."""

import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.privacy.export import Export
from pipelines.privacy.facts import floor, shown_users
from pipelines.privacy.leaves import BASE, FAMILIES, WITH_BASE, LeafKey, Parameters, is_possible, users_behind
from pipelines.privacy.ledger import LEDGER_COLUMNS, LEDGER_TABLE, LEDGER_TYPES, PARAMETERS_TABLE, Ledger
from pipelines.privacy.periods import GRAINS, is_day, period_start
from pipelines.privacy.ties import KNOWN

CHANCE = 1e-9
"""How unlikely a pattern has to be under honest protection before it is held against an export."""
BOTH_ZERO = 0.37
"""The chance, at most, that nobody is shown in any of four cells with at least 9 people in them all together."""


@dataclass
class Reading:
    """One export with what its ledger says."""

    export: Export
    ledger: Ledger
    parameters: Mapping[str, Parameters]


def read_ledger(export: Export) -> Reading:
    """Read ledger and parameters of an export; what no honest ledger holds is noted and left out."""
    ledger, parameters = _ledger(export)
    return Reading(export, ledger, parameters)


def _ledger(export: Export) -> tuple[Ledger, dict[str, Parameters]]:
    """Read ledger and parameters of an export; what no honest ledger holds is noted and left out."""
    file = f"{LEDGER_TABLE}.csv"
    parameters = _parameters(export)
    table = export.tables.get(LEDGER_TABLE)
    if table is None or table.columns != tuple(zip(LEDGER_COLUMNS, LEDGER_TYPES, strict=True)):
        export.reject(file, "the ledger is missing, or has other columns than a ledger")
        return Ledger(), parameters
    for number, row in enumerate(table.dicts(), start=1):
        blank = [name for name, value in row.items() if value is None and name != "value"]
        if blank or not is_day(row["period_start_date"]):
            export.reject(file, "the row names no leaf", number, blank[0] if blank else "period_start_date")
            return Ledger(), parameters
    try:
        ledger = Ledger.of(table.dicts())
    except ValueError as error:
        export.reject(file, str(error))
        return Ledger(), parameters
    rows = {key: number for number, key in enumerate(ledger.releases, start=1)}
    for key in list(ledger.releases):
        problem = _wrong_leaf(ledger, key, parameters)
        if problem:
            export.reject(file, f"{key}: {problem}", rows[key], "value")
            del ledger.releases[key]
    ledger = Ledger(ledger.releases)
    _check_tests(export, ledger, rows, parameters)
    _check_periods(export, ledger)
    return ledger, parameters


def _parameters(export: Export) -> dict[str, Parameters]:
    file = f"{PARAMETERS_TABLE}.csv"
    table = export.tables.get(PARAMETERS_TABLE)
    found = {}
    for number, row in enumerate([] if table is None else table.dicts(), start=1):
        try:
            found[str(row["parameters_id"])] = Parameters.of(row)
        except (KeyError, TypeError, ValueError) as error:
            export.reject(file, f"the parameters cannot be used ({error})", number)
    if table is None:
        export.reject(file, "the parameters are missing")
    return found


def _wrong_leaf(ledger: Ledger, key: LeafKey, parameters: Mapping[str, Parameters]) -> str | None:
    release = ledger.releases[key]
    family = FAMILIES.get(key.family)
    if family is None or key.grain not in GRAINS:
        return "nothing of this kind may be measured"
    if key.cell == BASE:
        if key.family not in WITH_BASE or key.grain != "day":
            return "this family has no base"
    elif key.grain not in family.cells:
        return f"{key.family} of a {key.grain} are sums of other leaves, and measured a second time here"
    elif family.cells[key.grain] and key.cell not in family.cells[key.grain]:
        return "the family has no such cell"
    if period_start(key.grain, key.start) != key.start:
        return f"no {key.grain} begins on this day"
    if release.parameters_id not in parameters:
        return f"its parameters '{release.parameters_id}' are nowhere"
    own = parameters[release.parameters_id]
    value = release.value
    if not is_possible(key, value, own):
        shown = "NULL" if value is None else str(value)
        return (
            f"{shown} is no protected figure (0 or NULL, or a multiple of {own.base} from {own.threshold} on)"
        )
    return None


def _check_tests(
    export: Export, ledger: Ledger, rows: Mapping[LeafKey, int], parameters: Mapping[str, Parameters]
) -> None:
    """Tests are withheld where nobody is shown who made them, and nowhere else; and never below their floor."""
    for key, release in ledger.releases.items():
        if key.family != "tests":
            continue
        shown = shown_users(ledger, key)
        least = floor(ledger, key, parameters[release.parameters_id])
        problem = None
        if release.value is None and shown:
            problem = "withheld beside users that are shown: between 1 and the threshold is proven"
        elif release.value is not None and not shown:
            problem = "shown on a day on which nobody is shown behind it: the threshold is not one on users"
        elif release.value is not None and release.value < least:
            problem = f"{release.value} is below what is published beside it ({least})"
        if problem:
            export.reject(f"{LEDGER_TABLE}.csv", f"{key}: {problem}", rows[key], "value")


def _check_periods(export: Export, ledger: Ledger) -> None:
    """Hold the periods against each other and against the manifest."""
    file = f"{LEDGER_TABLE}.csv"
    instants, keys, cells = defaultdict(set), defaultdict(set), defaultdict(set)
    for key, release in ledger.releases.items():
        if key.cell != BASE:
            period = key.family, key.grain, key.start
            instants[key.grain, key.start].add(release.released_at)
            keys[key.grain, key.start].add((release.key_id, release.parameters_id))
            cells[period].add(key.cell)
    for grain, start in sorted(place for place, found in instants.items() if len(found) > 1):
        if grain != "month" or len(instants[grain, start]) > 2:
            export.reject(file, f"the {grain} {start} was released at more than one instant")
    for grain, start in sorted(place for place, found in keys.items() if len(found) > 2):
        export.reject(file, f"the {grain} {start} was released under more than one key or set of parameters")
    every: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (name, grain, _), found in cells.items():
        every[name, grain] |= found
    for name, family in FAMILIES.items():
        for grain, start in sorted(place for place in instants if place[0] in family.cells):
            needed = set(family.cells[grain]) or every[name, grain] or {"any"}
            lacking = needed - cells[name, grain, start]
            if lacking:
                cut = ", ".join(sorted(lacking))
                export.reject(file, f"{name} of the {grain} {start}: cells are left out ({cut})")
    _check_manifest(export, ledger)


def _check_manifest(export: Export, ledger: Ledger) -> None:
    claimed = {
        (str(entry.get("grain")), str(entry.get("period_start_date"))): entry.get("sha256")
        for entry in _list(export.manifest.get("periods"))
        if isinstance(entry, dict)
    }
    actual = {(grain, start.isoformat()): digest for (grain, start), (_, digest) in ledger.digests().items()}
    for grain, start in sorted(set(claimed) | set(actual), key=str):
        if claimed.get((grain, start)) != actual.get((grain, start)):
            export.reject(
                "privacy.json", f"what it says of the {grain} {start} is not what the ledger holds of it"
            )
    if _list(export.manifest.get("facts")) != list(KNOWN):
        export.reject("privacy.json", "it does not say what holds for the true counts")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def compare_exports(readings: Sequence[Reading]) -> None:
    """What was released once stays, with every later export."""
    for before, after in itertools.pairwise(readings):
        rows = {key: number for number, key in enumerate(after.ledger.releases, start=1)}
        for key, release in before.ledger.releases.items():
            now = after.ledger.releases.get(key)
            if now is None:
                problem = f"{key} was released in {before.export.name} and is gone"
                after.export.reject(f"{LEDGER_TABLE}.csv", problem)
            elif now != release:
                problem = (
                    f"{key} was released as {_shown(release.value)} in {before.export.name} and is "
                    f"{_shown(now.value)} now: a released period changed"
                )
                after.export.reject(f"{LEDGER_TABLE}.csv", problem, rows[key], "value")


def _shown(value: int | None) -> str:
    return "withheld" if value is None else str(value)


def find_patterns(export: Export, ledger: Ledger) -> None:
    """Find event leaves that are shown so often while nobody is shown behind them that users cannot be what they wait for."""
    shown: dict[tuple[str, str], int] = defaultdict(int)
    empty: dict[tuple[str, str], int] = defaultdict(int)
    for key, release in ledger.releases.items():
        users = users_behind(key)
        if release.value is not None and users and key.family != "tests":
            shown[key.family, key.cell] += 1
            empty[key.family, key.cell] += not any(ledger.value(leaf) for leaf in users)
    for (family, cell), days in shown.items():
        if _binomial_tail(days, empty[family, cell], BOTH_ZERO) < CHANCE:
            export.reject(
                f"{LEDGER_TABLE}.csv",
                f"{family}/{cell} is shown on {days} days, and on {empty[family, cell]} of them nobody is shown who could "
                "be behind it: the threshold is not one on users",
            )


def _binomial_tail(trials: int, successes: int, chance: float) -> float:
    return sum(
        math.comb(trials, count) * chance**count * (1 - chance) ** (trials - count)
        for count in range(successes, trials + 1)
    )
