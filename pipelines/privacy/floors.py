"""What weeks and months show at least: so much that they do not narrow down what is shown of their days.

Whoever had a success on a day had one in its week and its month, and who is new on a day is none of those of the days
before. A week whose own figure is too small for that is lifted. macros/floors.sql says the same in SQL.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipelines.privacy.leaves import BUCKET_CELLS, FAMILIES, LeafKey, Parameters
from pipelines.privacy.ledger import Ledger
from pipelines.privacy.periods import days_of, period_end

LIFTED = ("engagement_users", "error_buckets")
"""The families of which weeks and months are measured by themselves."""
FROM_ABOVE = tuple((cell, BUCKET_CELLS[number:]) for number, cell in reversed([*enumerate(BUCKET_CELLS)]))
"""Each bucket with all those of as many failed tests or more, from the highest down."""

Cell = tuple[str, str]
"""Family and cell."""
Shown = Mapping[Cell, int]
"""The figures of one period."""


@dataclass(frozen=True)
class Period:
    """A released day, week or month."""

    grain: str
    start: dt.date

    @property
    def end(self) -> dt.date:
        """The last day."""
        return period_end(self.grain, self.start)

    def shown(self, ledger: Ledger) -> dict[Cell, int]:
        """Give the figures of its users."""
        keys = [
            LeafKey(family, self.grain, self.start, cell)
            for family in LIFTED
            for cell in FAMILIES[family].cells[self.grain]
        ]
        return {(key.family, key.cell): ledger.value(key) or 0 for key in keys}


def parts_of(ledger: Ledger, whole: Period) -> list[Period]:
    """Name the released periods that lie within a week or month: its days, and the weeks within a month."""
    days = [Period("day", day) for day in days_of(whole.grain, whole.start)]
    weeks = []
    if whole.grain == "month":
        weeks = [Period("week", day.start) for day in days if day.start.weekday() == 0]
    return [
        part
        for part in (*days, *weeks)
        if part.end <= whole.end and part.start in ledger.periods("engagement_users", part.grain)
    ]


@dataclass(frozen=True)
class Bounds:
    """What figures of some cells stand for: so many people at least and at most in all, and `rise`, how many more than the
    least one of them must be able to stand for."""

    least: int = 0
    most: int = 0
    rise: int = 0

    @classmethod
    def of(cls, values: Sequence[int], parameters: Parameters) -> "Bounds":
        """Add up the bounds of figures."""
        threshold, base = parameters.threshold, parameters.base
        return cls(
            sum(value - base + 1 if value > threshold else min(value, 1) for value in values),
            sum(most_people(value, parameters) for value in values),
            max(
                (threshold - 1 if value == threshold else min(value, base - 1) for value in values), default=0
            ),
        )


def most_people(value: int, parameters: Parameters) -> int:
    """Give how many people a figure stands for at most."""
    return value + parameters.base - 1 if value else parameters.threshold - 1


def smallest_figure(people: int, parameters: Parameters) -> int:
    """Give the smallest figure that can stand for so many people."""
    if people < parameters.threshold:
        return 0
    least = people - parameters.base + 1
    return max(parameters.threshold, least + -least % parameters.base)


@dataclass(frozen=True)
class Needs:
    """How many people a week or month must be able to stand for: with a success, in all (of bucket 0 or more), and by failed
    tests."""

    success: int
    from_bucket: Mapping[str, int]


def needs_of(parts: Sequence[tuple[Period, Shown]], parameters: Parameters) -> Needs:
    """Give what the parts of a week or month need, each together with who is new after it."""

    def bounds(shown: Shown, family: str, *endings: str) -> Bounds:
        values = [value for (of, cell), value in shown.items() if of == family and cell.endswith(endings)]
        return Bounds.of(values, parameters)

    success: list[int] = [0]
    from_bucket: dict[str, list[int]] = {cell: [0] for cell in BUCKET_CELLS}
    for part, shown in parts:
        later = [found for day, found in parts if day.grain == "day" and day.start > part.end]
        new = [bounds(found, "engagement_users", "new_success", "new_other") for found in later]
        new_successful = [bounds(found, "engagement_users", "new_success") for found in later]
        successful = bounds(shown, "engagement_users", "success")
        others = bounds(shown, "engagement_users", "other")
        clean = bounds(shown, "error_buckets", "0")
        failing = {
            cell: Bounds.of([shown["error_buckets", each] for each in cells], parameters)
            for cell, cells in FROM_ABOVE
        }
        everybody = max(successful.least + others.least, failing["0"].least)
        # Whoever never failed had a success, and whoever had none failed.
        known = max(successful.least, clean.least, everybody - others.most)
        success.append(_need(known, max(successful.rise, clean.rise), new_successful))
        from_bucket["0"].append(_need(everybody, max(successful.rise, others.rise, failing["0"].rise), new))
        known = max(failing["1"].least, others.least, everybody - clean.most)
        from_bucket["1"].append(known + failing["1"].rise)
        for cell in BUCKET_CELLS[2:]:
            from_bucket[cell].append(failing[cell].least + failing[cell].rise)
    return Needs(max(success), {cell: max(needs) for cell, needs in from_bucket.items()})


def _need(least: int, rise: int, later: Sequence[Bounds]) -> int:
    return least + sum(bounds.least for bounds in later) + max(rise, *(bounds.rise for bounds in later), 0)


def floors_of(shown: Shown, needs: Needs, parameters: Parameters) -> Iterator[tuple[Cell, int]]:
    """Yield the floor of each cell of a week or month, by what is shown in those yielded before.

    With a dictionary as `shown`, a caller who lifts its cells as they come gets what is released.
    """
    yield ("engagement_users", "success"), smallest_figure(needs.success, parameters)
    successful = most_people(shown["engagement_users", "success"], parameters)
    yield ("engagement_users", "other"), smallest_figure(needs.from_bucket["0"] - successful, parameters)
    above = 0
    for cell, _ in FROM_ABOVE:
        yield ("error_buckets", cell), smallest_figure(needs.from_bucket[cell] - above, parameters)
        above += most_people(shown["error_buckets", cell], parameters)


def is_floored(key: LeafKey) -> bool:
    """Tell whether a leaf is one that is lifted."""
    return key.grain != "day" and key.family in LIFTED


def floor_of(ledger: Ledger, key: LeafKey, parameters: Parameters) -> int:
    """Give the smallest figure that a week or month may show in one cell, by what is shown of its parts."""
    whole = Period(key.grain, key.start)
    parts = [(part, part.shown(ledger)) for part in parts_of(ledger, whole)]
    floors = dict(floors_of(whole.shown(ledger), needs_of(parts, parameters), parameters))
    return floors[key.family, key.cell]


def lifted(shown: Shown, needs: Needs, parameters: Parameters) -> dict[Cell, int]:
    """Lift the figures of a week or month to their floors."""
    found = dict(shown)
    for cell, floor in floors_of(found, needs, parameters):
        found[cell] = max(found[cell], floor)
    return found
