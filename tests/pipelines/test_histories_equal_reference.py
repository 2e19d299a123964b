"""However a history arrives and whatever its builds go through, the marts give the figures of the reference."""

import tempfile
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from incremental_support import MODELS, run, seed
from marts_support import Company
from strategies import CLOCKS, History, histories, laid_out

ZONES = ("UTC", "America/St_Johns", "Pacific/Kiritimati")
ALONE = [model for model in MODELS if model.startswith("int_")]


@dataclass(frozen=True)
class Step:
    """Some lines arrive, and then something is built of what is known, or not."""

    lines: tuple[bytes, ...]
    seed: int
    """For the files that they lie in; lines come twice within them."""
    way: str
    """whole, anew, cut off (after `models` models), alone (one model anew), elsewhere (in another zone) or not."""
    models: int
    days_before: int
    """The date that is built, as seen from that of the last report."""


@st.composite
def journeys(draw: st.DrawFn) -> tuple[History, tuple[Step, ...]]:
    """Make up a history, and in how many pieces and through which accidents it comes in."""
    clock = draw(st.sampled_from(CLOCKS))
    lines = tuple(line for _ in range(3) for line in draw(histories(clock)).lines)
    shuffled = tuple(draw(st.permutations(lines)))
    steps, start = [], 0
    for number in range(draw(st.integers(2, 4)), 0, -1):
        end = start + (len(shuffled) - start) // number
        # What arrived before may come once more.
        again = draw(st.sampled_from((0, 0, 5, start)))
        steps.append(
            Step(
                shuffled[max(start - again, 0) : end],
                draw(st.integers(0, 999)),
                draw(
                    st.sampled_from(
                        ("whole", "whole", "cut off", "cut off", "alone", "anew", "elsewhere", "not")
                    )
                ),
                draw(st.integers(0, 99)),
                draw(st.sampled_from((0, 1, 2, 40))),
            )
        )
        start = end
    return History(clock, lines), tuple(steps)


@pytest.mark.parametrize("examples", [2, pytest.param(40, marks=pytest.mark.soak)])
def test_interruptions_do_not_change_a_report(examples: int) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        # A shrunk example would take hundreds of builds.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(journeys())
    def goes_through(journey: tuple[History, tuple[Step, ...]]) -> None:
        history, steps = journey
        with tempfile.TemporaryDirectory() as folder:
            company = Company(Path(folder), history.clock.timezone)
            for number, step in enumerate(steps):
                company.receive(
                    {f"{number}/{name}": content for name, content in laid_out(step.lines, step.seed).items()}
                )
                if number == 0:
                    seed(company.warehouse)
                take(company, history, step)
            run(company.warehouse, history.clock.report_date)
            assert company.differences() == []

    goes_through()


def take(company: Company, history: History, step: Step) -> None:
    """Build as a step says."""
    warehouse, report_date = company.warehouse, history.clock.report_date - timedelta(days=step.days_before)
    if step.way == "elsewhere":
        run(replace(warehouse, reporting_timezone=ZONES[step.models % len(ZONES)]), report_date)
    elif step.way == "cut off":
        run(warehouse, report_date, select=list(MODELS[: 9 + step.models % (len(MODELS) - 9)]))
    elif step.way in {"whole", "anew"}:
        run(warehouse, report_date, full_refresh=step.way == "anew")
    elif step.way == "alone":
        run(warehouse, report_date)
        run(warehouse, report_date, full_refresh=True, select=[ALONE[step.models % len(ALONE)]])
