"""At least a hundred kills of the real command, over days of input, against an undisturbed warehouse."""

import os
import random
import time
from pathlib import Path

import pytest
from command_support import House, finish
from faults_support import (
    MARTS,
    RAW,
    Strike,
    Way,
    content,
    day,
    differences,
    hooked,
    killed_after,
    new_house,
    outside,
    struck,
    torn,
    write_day,
)

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do"),
]

WAYS: tuple[Way, ...] = ("kill all", "kill kpi")
DAYS = 3
LOAD_KILLS = 24
BUILD_KILLS = 10
TIMED_KILLS = 3
"""A day, of each kind: steps of loads, steps of builds, and moments of either."""


def test_a_hundred_kills_leave_what_an_undisturbed_run_leaves(tmp_path: Path) -> None:
    chance = random.Random(7)
    started, kills = time.monotonic(), 0
    plain = new_house(tmp_path / "plain")
    plain.folder.mkdir()
    with outside() as around:
        around.connect(plain)
        write_day(plain, 1)
        hard = plain.copied(tmp_path / "hard")
        for number in range(1, DAYS + 1):
            if number > 1:
                around.bill(number)
                write_day(plain, number)
                write_day(hard, number)
            build = ("build", "--date", day(number).isoformat())
            steps = count_steps(plain, "ingest", tmp_path / f"load-{number}")
            kills += kill_loads(hard, chance, steps)
            hard.kpi("ingest").is_well()
            assert differences(content(plain, *RAW), content(hard, *RAW)) == [], (
                f"day {number}, {kills} kills"
            )
            before = content(hard, *MARTS)
            plain.kpi(*build).is_well()
            after = content(plain, *MARTS)
            for strike in build_strikes(chance):
                kills += struck(hard, *build, strike=strike)
                assert torn(hard, before, after) == [], strike
            for _ in range(TIMED_KILLS):
                kills += killed_after(hard, *build, seconds=chance.uniform(3, 20))
                assert torn(hard, before, after) == []
            hard.kpi(*build).is_well()
            assert differences(after, content(hard, *MARTS)) == [], f"day {number}, {kills} kills"
    minutes = (time.monotonic() - started) / 60
    print(f"{kills} kills in {minutes:.1f} minutes")
    assert kills >= 100


def count_steps(house: House, command: str, log: Path) -> int:
    """Run a command undisturbed and count its steps."""
    assert finish(hooked(house, command, log=log)).code == 0
    return len(log.read_text().splitlines())


def kill_loads(house: House, chance: random.Random, steps: int) -> int:
    """Kill loads at steps all over the way, then at moments."""
    kills = 0
    for _ in range(LOAD_KILLS):
        # What is done is not done again, so that a run may end before it has gone as many steps as an undisturbed one.
        kills += struck(house, "ingest", strike=Strike(number=chance.randint(1, steps * 3 // 4)))
    for _ in range(TIMED_KILLS):
        kills += killed_after(house, "ingest", seconds=chance.uniform(0.5, 5))
    return kills


def build_strikes(chance: random.Random) -> list[Strike]:
    """Steps of dbt before models of each layer; every other time kpi alone is killed."""
    layers = ["staging", "utilities", "intermediate", "intermediate", "marts", "marts"]
    found = [
        Strike(rf"^dbt open .*/run/kpi/models/{layer}/.*\.sql$", chance.randint(1, 5), way)
        for layer in layers
        for way in WAYS
    ]
    chance.shuffle(found)
    return found[:BUILD_KILLS]
