"""The real pipelines and models give the figures of the reference, whatever the events and their files."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
import reference
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from marts_support import USER_KEY, Company
from strategies import CLOCKS, Clock, History, histories, laid_out, large_history, unpacked

ROLES = {"account_created": "account_created", "test_completed": "test"}
CLOCK_NAMES = [f"{clock.timezone.replace('/', '-')} {clock.report_date}" for clock in CLOCKS]


@pytest.mark.parametrize("clock", CLOCKS, ids=CLOCK_NAMES)
def test_every_figure_of_a_hard_history_is_that_of_the_reference(clock: Clock, tmp_path: Path) -> None:
    company = Company(tmp_path, clock.timezone)
    company.receive(laid_out(large_history(clock, seed=1, events=600).lines, seed=1))
    reports = (clock.report_date - timedelta(days=3), clock.report_date)
    company.build(clock.report_date, reports, with_data_tests=True)
    assert company.differences() == []


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[History, int, int]:
    """A history of several small ones, a seed for its files, and how many lines come before the first build."""
    clock = draw(st.sampled_from(CLOCKS))
    lines = tuple(line for _ in range(4) for line in draw(histories(clock)).lines)
    quarters = draw(st.sampled_from((2, 3, 1, 0, 4)))
    return History(clock, lines), draw(st.integers(0, 999)), len(lines) * quarters // 4


@settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)
@given(st.sampled_from(CLOCKS).flatmap(histories), st.integers(0, 999))
def test_the_reference_knows_neither_order_nor_copies_nor_files(history: History, seed: int) -> None:
    clock = history.clock
    reports = []
    for files in ({"all.jsonl": b"\n".join(history.lines)}, laid_out(history.lines, seed)):
        contents = {name: unpacked(name, content) for name, content in files.items()}
        lines = [line for name, content in contents.items() for line in reference.lines_of(name, content)]
        settled = reference.settle(lines, USER_KEY.encode())
        reports.append(
            reference.report(settled, clock.report_date, clock.timezone, ROLES, {"404": "analysis_error"})
        )
    assert reports[0] == reports[1]


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    database=None,
    # A shrunk example would take hundreds of builds.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(deliveries())
def test_order_copies_and_files_of_events_do_not_change_a_report(delivered: tuple[History, int, int]) -> None:
    history, seed, early = delivered
    clock = history.clock
    with tempfile.TemporaryDirectory() as folder:
        company = Company(Path(folder), clock.timezone)
        company.receive(laid_out(history.lines[:early], seed))
        company.build(clock.report_date - timedelta(days=1))
        # The stored report is restated by what comes late.
        company.receive(
            {f"late/{name}": content for name, content in laid_out(history.lines, seed + 1).items()}
        )
        company.build(clock.report_date)
        assert company.differences() == []
