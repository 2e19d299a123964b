"""MRR of made-up lives of subscriptions, held against the reference day by day and customer by customer."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
import reference.mrr as reference
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from mrr_lives import Told, life_before, tell
from mrr_support import SYNCED_AT, Raw

# One unit in the last place for each of the stretches and items that are added up.
TOLERANCE = Fraction(1, 10**9)

pytestmark = pytest.mark.xdist_group("mrr_reference")


@given(st.integers(0, 2**32), st.sampled_from(["America/New_York", "Pacific/Auckland", "UTC"]))
@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
)
def test_every_day_and_movement_is_that_of_the_reference(seed: int, timezone: str) -> None:
    chance = Random(seed)
    company = [life_before(SYNCED_AT, f"sub_{number}", chance) for number in range(80)]
    with TemporaryDirectory() as folder:
        raw = Raw(Path(folder), timezone=timezone)
        for told in company:
            tell(raw, told)
        raw.build()
        assert _wrong_stretches(raw, company) == []
        assert _wrong_days(raw, company, timezone) == []


def _wrong_stretches(raw: Raw, company: list[Told]) -> list[str]:
    ledger = raw.mrr()
    wrong = []
    for told in company:
        life = told.life
        instants = {told.created, SYNCED_AT, *(terms.since for terms in life.terms)}
        instants |= {instant for instant in (life.begins, life.ends, told.trial_ends) if instant}
        instants |= {instant for entry in life.discounts for instant in (entry.start, entry.end) if instant}
        for edge in sorted(instant for instant in instants if instant <= SYNCED_AT):
            for instant in (edge - dt.timedelta(seconds=1), edge):
                expected, found = reference.mrr(life, instant), Fraction(ledger.at(life.name, instant))
                if abs(expected - found) > TOLERANCE:
                    wrong.append(f"{told} at {instant}: {float(expected)} expected, {float(found)} found")
    return wrong


def _wrong_days(raw: Raw, company: list[Told], timezone: str) -> list[str]:
    columns = ", ".join(f"{movement}_amount" for movement in reference.MOVEMENTS)
    rows = raw.query(
        f"select currency, mrr_date, mrr_amount, paying_customers, {columns} from kpi_internal.daily_mrr"
        " where policy_key = 'stripe' order by 1, 2"
    )
    first, last = min(row[1] for row in rows), max(row[1] for row in rows)
    ends = reference.day_ends([told.life for told in company], first, last, timezone, SYNCED_AT)
    moved = {key: reference.movements(values) for key, values in ends.items()}
    wrong = []
    for currency, day, amount, customers, *amounts in rows:
        number = (day - first).days
        values = [values[number] for (_, other), values in ends.items() if other == currency]
        expected = [sum(values, Fraction(0)), Fraction(sum(value > 0 for value in values))]
        for kind in reference.MOVEMENTS:
            moves = [moves[number] for (_, other), moves in moved.items() if other == currency]
            expected.append(
                sum((difference for movement, difference in moves if movement == kind), Fraction(0))
            )
        found = [Fraction(value) for value in (amount, Decimal(customers), *amounts)]
        if any(abs(left - right) > TOLERANCE for left, right in zip(expected, found, strict=True)):
            wrong.append(
                f"{currency} {day}: {[float(value) for value in expected]}, {[float(value) for value in found]}"
            )
    return wrong
