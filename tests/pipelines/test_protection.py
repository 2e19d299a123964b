"""Exact counts are protected alike in DuckDB, in GoogleSQL and in the Python reference."""

import hashlib
import random
from dataclasses import dataclass

import duckdb
import pytest
from protection_support import ROUNDING, Dialect, googlesql

from pipelines.privacy import reference
from pipelines.privacy.reference import (
    FAILING_BUCKETS,
    UNLIMITED,
    Rounding,
    ShownPeriod,
    prove_nothing_together,
)

VECTORS = 10_000
DIGEST = "593ef86d0997985e5f112b87603cf5a964f78fe9d9901c22d58489c25ad93961"


@dataclass(frozen=True)
class Vector:
    """One leaf with what stands beside it, and what is to be shown."""

    units: int
    users: int
    contributors_key: int
    shown_users: int
    lower_bound: int
    noise: int
    as_users: int
    as_events: int | None
    as_tests: int | None
    least_users: int
    least_events: int


COLUMNS = tuple(Vector.__dataclass_fields__)
CALLS = {
    "noise": ("noise_of", "contributors_key", "units"),
    "as_users": ("protected_users", "units", "noise"),
    "as_events": ("protected_events", "units", "users", "noise"),
    "as_tests": ("protected_tests", "units", "users", "noise", "shown_users", "lower_bound"),
    "least_users": ("least_users_behind", "shown_users"),
    "least_events": ("least_events_behind", "as_events"),
}


def vectors(rounding: Rounding = ROUNDING) -> list[Vector]:
    """Small counts often, since there the threshold decides, large ones too, and keys of 60 bits."""
    chance = random.Random(20260304)
    found = []
    for _ in range(VECTORS):
        units = chance.choice((chance.randrange(25), chance.randrange(400), chance.randrange(10**7), 10**15))
        users = chance.randrange(min(units, chance.choice((12, 10**6))) + 1)
        key = chance.choice((0, 1, 2**60 - 1, chance.getrandbits(60), chance.getrandbits(60)))
        shown_users = chance.choice((0, 10, 15, 5 * chance.randrange(2, 200)))
        lower_bound = chance.choice((0, chance.randrange(40), chance.randrange(10**4)))
        as_events = reference.protected_events(rounding, units, users, key)
        found.append(
            Vector(
                units,
                users,
                key,
                shown_users,
                lower_bound,
                reference.noise(key, units),
                reference.protected_users(rounding, units, key),
                as_events,
                reference.protected_tests(rounding, units, users, key, shown_users, lower_bound),
                reference.least_users_behind(rounding, shown_users),
                reference.least_events_behind(rounding, as_events),
            )
        )
    return found


def row(vector: Vector) -> list[int | None]:
    return [getattr(vector, column) for column in COLUMNS]


def disagreements(dialect: Dialect) -> str:
    """The select list that counts, for each figure, the vectors for which the macro gives another one."""
    return ", ".join(
        f"sum(case when ({getattr(dialect, macro)(*arguments)}) is distinct from {figure} then 1 else 0 end)"
        for figure, (macro, *arguments) in CALLS.items()
    )


def test_the_golden_vectors_are_the_ones_they_always_were() -> None:
    text = "\n".join(",".join(map(str, row(vector))) for vector in vectors())
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


@pytest.mark.parametrize("rounding", [ROUNDING, Rounding(threshold=28, base=7)])
def test_duckdb_protects_like_the_reference(rounding: Rounding) -> None:
    query = f"select count(*), {disagreements(Dialect('duckdb', rounding))} from vectors"
    with duckdb.connect() as connection:
        connection.execute(f"create table vectors ({', '.join(f'{column} bigint' for column in COLUMNS)})")
        values = ", ".join(str(tuple(row(vector))).replace("None", "null") for vector in vectors(rounding))
        connection.execute(f"insert into vectors values {values}")
        assert connection.execute(query).fetchall() == [(VECTORS, *[0] * len(CALLS))]


def test_googlesql_protects_like_the_reference() -> None:
    names = ", ".join(f"{column} int64" for column in COLUMNS)
    all_vectors = vectors()
    found = []
    # An array may hold a megabyte.
    for first in range(0, VECTORS, 1000):
        values = ", ".join(str(tuple(row(vector))) for vector in all_vectors[first : first + 1000])
        array = f"array<struct<{names}>>[{values.replace('None', 'null')}]"
        found += googlesql(f"select count(*), {disagreements(Dialect('bigquery'))} from unnest({array})")
    assert [sum(column or 0 for column in columns) for columns in zip(*found, strict=True)] == [
        VECTORS,
        *[0] * len(CALLS),
    ]


def shown_periods(rounding: Rounding = ROUNDING) -> list[ShownPeriod]:
    """What may be shown of a period: small companies often, since with them figures prove something together."""
    chance = random.Random(20260305)

    def figure() -> int:
        steps = chance.choice((0, 0, 0, 1, 1, 2, 3, 5, 40))
        return rounding.threshold + rounding.base * (steps - 1) if steps else 0

    found = []
    for _ in range(2000):
        failing = {bucket: figure() for bucket in FAILING_BUCKETS}
        success, other = ([figure() for _ in range(chance.choice((1, 2)))] for _ in range(2))
        successes, errors = (chance.choice((UNLIMITED, chance.randrange(9, 90))) for _ in range(2))
        found.append(ShownPeriod(success, other, figure(), failing, successes, errors, rounding))
    return found


def verdicts(dialect: Dialect, source: str) -> str:
    """A query for the number of periods that prove nothing together, and of those of which the reference says otherwise."""
    safe = f"case when {dialect.prove_nothing_together()} then 1 else 0 end"
    return f"select sum({safe}), sum(case when {safe} = expected then 0 else 1 end) from {source}"


def row_of(period: ShownPeriod) -> tuple[int, ...]:
    return (*period.columns().values(), int(prove_nothing_together(period)))


@pytest.mark.parametrize("rounding", [ROUNDING, Rounding(threshold=28, base=7)])
def test_duckdb_tells_like_the_reference_what_proves_nothing_together(rounding: Rounding) -> None:
    periods = shown_periods(rounding)
    values = ", ".join(str(row_of(period)) for period in periods)
    source = f"(values {values}) as shown ({', '.join(periods[0].columns())}, expected)"
    with duckdb.connect() as connection:
        [(safe, different)] = connection.execute(verdicts(Dialect("duckdb", rounding), source)).fetchall()
    assert different == 0
    assert len(periods) * 0.05 < safe < len(periods) * 0.9


def test_googlesql_tells_like_the_reference_what_proves_nothing_together() -> None:
    periods = shown_periods()
    names = ", ".join(f"{column} int64" for column in (*periods[0].columns(), "expected"))
    values = ", ".join(str(row_of(period)) for period in periods)
    source = f"unnest(array<struct<{names}>>[{values}])"
    [[safe, different]] = googlesql(verdicts(Dialect("bigquery"), source))
    assert different == 0
    assert safe == sum(map(prove_nothing_together, periods))


def test_every_draw_takes_other_digits() -> None:
    draws = range(reference.DRAWS)
    found = [reference.noise(4711, 7, draw) for draw in draws]
    assert len(set(found)) == reference.DRAWS
    with duckdb.connect() as connection:
        macro = Dialect("duckdb").noise_of("4711", "7", "draw")
        query = f"select {macro} from (select unnest({[*draws]}) as draw) order by draw"
        assert [number for (number,) in connection.execute(query).fetchall()] == found
    macro = Dialect("bigquery").noise_of("4711", "7", "draw")
    query = f"select {macro} from unnest({[*draws]}) as draw order by draw"
    assert [number for [number] in googlesql(query)] == found


def test_the_exclusive_or_of_contributors_is_the_same_in_both() -> None:
    chance = random.Random(7)
    keys = [chance.getrandbits(60) for _ in range(101)]
    expected = reference.contributors_key(keys)
    listed = ", ".join(map(str, keys))
    with duckdb.connect() as connection:
        query = f"select {Dialect('duckdb').exclusive_or('key')} from (select unnest([{listed}]) as key)"
        assert connection.execute(query).fetchall() == [(expected,)]
    assert googlesql(f"select {Dialect('bigquery').exclusive_or('key')} from unnest([{listed}]) as key") == [
        [expected]
    ]


def test_nothing_true_is_shown_under_the_threshold_and_multiples_of_the_base_above_it() -> None:
    for vector in vectors():
        if vector.units < ROUNDING.threshold:
            assert vector.as_users in {0, ROUNDING.threshold}
        else:
            assert vector.as_users % ROUNDING.base == 0
            assert abs(vector.as_users - vector.units) < ROUNDING.base
        assert (vector.as_events is None) == (vector.users < ROUNDING.threshold)


def test_each_shown_figure_leaves_at_least_five_possible_counts() -> None:
    chance = random.Random(11)
    possible: dict[int, set[int]] = {}
    for units in range(60):
        for _ in range(200):
            shown = reference.protected_users(ROUNDING, units, chance.getrandbits(60))
            possible.setdefault(shown, set()).add(units)
    for shown, counts in possible.items():
        if shown <= 50:
            assert len(counts) >= 5, f"{shown} comes from {sorted(counts)}"
    # Either of the two figures that a small count gives comes from none and from the threshold on as well.
    assert 0 in possible[0]
    assert ROUNDING.threshold in possible[ROUNDING.threshold]


def test_figures_are_right_on_average() -> None:
    chance = random.Random(13)
    for units in range(40):
        figures = [reference.protected_users(ROUNDING, units, chance.getrandbits(60)) for _ in range(4000)]
        assert abs(sum(figures) / len(figures) - units) < 0.4, units


def test_the_same_people_and_count_give_the_same_figure_wherever_they_are_counted() -> None:
    keys = [random.Random(number).getrandbits(60) for number in range(7)]
    forwards, backwards = reference.contributors_key(keys), reference.contributors_key(reversed(keys))
    assert forwards == backwards
    assert reference.protected_users(ROUNDING, 7, forwards) == reference.protected_users(
        ROUNDING, 7, backwards
    )
