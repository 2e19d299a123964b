"""Monthly recurring revenue a second time, from lives of subscriptions, with fractions and day by day.

Nothing is shared with the models: no intervals, no SQL, no decimals.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from zoneinfo import ZoneInfo

CYCLES_A_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}
MOVEMENTS = ("new", "expansion", "contraction", "churned", "reactivated")


@dataclass(frozen=True)
class Terms:
    """What a subscription costs a cycle from an instant on: a price in minor units times a quantity."""

    since: dt.datetime
    unit_amount: Fraction
    quantity: int


@dataclass(frozen=True)
class Discount:
    """A percentage, or an amount in minor units a cycle, for a while."""

    start: dt.datetime
    end: dt.datetime | None
    percent: Fraction | None = None
    amount: int | None = None

    def applies(self, instant: dt.datetime) -> bool:
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True)
class Life:
    """One subscription with one item: from when to when it counts, and what it costs then."""

    name: str
    customer: str
    currency: str
    decimals: int
    interval: str
    interval_count: int
    begins: dt.datetime | None
    ends: dt.datetime | None
    terms: tuple[Terms, ...]
    discounts: tuple[Discount, ...] = ()
    inclusive_tax: Fraction = field(default=Fraction(0))


def mrr(life: Life, instant: dt.datetime) -> Fraction:
    """What a life is a month at an instant, in units of its currency."""
    if life.begins is None or instant < life.begins or (life.ends is not None and instant >= life.ends):
        return Fraction(0)
    now = [terms for terms in life.terms if terms.since <= instant][-1]
    amount = now.unit_amount * now.quantity
    applied = [discount for discount in life.discounts if discount.applies(instant)]
    for discount in applied:
        if discount.percent is not None:
            amount = amount * (100 - discount.percent) / 100
    for discount in applied:
        if discount.amount is not None:
            amount = max(amount - discount.amount, Fraction(0))
    amount = amount * 100 / (100 + life.inclusive_tax)
    a_year: Fraction = amount * CYCLES_A_YEAR[life.interval] / life.interval_count
    return a_year / Fraction(12 * 10**life.decimals)


def day_ends(
    lives: Iterable[Life], first: dt.date, last: dt.date, timezone: str, now: dt.datetime
) -> dict[tuple[str, str], list[Fraction]]:
    """The MRR of each customer and currency at the end of each day; the newest day ends now."""
    zone = ZoneInfo(timezone)
    days = [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]
    found: dict[tuple[str, str], list[Fraction]] = defaultdict(lambda: [Fraction(0)] * len(days))
    for number, day in enumerate(days):
        midnight = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone).astimezone(dt.UTC)
        instant = min(midnight - dt.timedelta(microseconds=1), now)
        for life in lives:
            found[life.customer, life.currency][number] += mrr(life, instant)
    return found


def movements(values: list[Fraction]) -> list[tuple[str, Fraction]]:
    """What became of one customer in one currency from each value to the next, from nothing on."""
    found = []
    before, has_paid = Fraction(0), False
    for after in values:
        if after == before:
            kind = "none"
        elif before == 0:
            kind = "reactivated" if has_paid else "new"
        elif after == 0:
            kind = "churned"
        else:
            kind = "expansion" if after > before else "contraction"
        found.append((kind, after - before))
        has_paid = has_paid or after > 0
        before = after
    return found
