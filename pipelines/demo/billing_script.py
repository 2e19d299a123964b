"""The script of the made-up company's customers: what they subscribe to, what they are billed, what they pay.

It knows nothing of Stripe. Amounts are whole minor units of the currency, instants ms since 1970.
"""

import calendar
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

from pipelines.demo.calendar import DAY, HOUR, MINUTE, Company, as_datetime

Interval = Literal["day", "week", "month", "year"]
Outcome = Literal["paid", "void", "uncollectible"]
Given = Literal["refund", "failed refund", "credit note", "refund by credit note"]
Plan = Literal["plus", "family"]

MONTHLY_PRICES: dict[str, dict[Plan, int]] = {
    "eur": {"plus": 990, "family": 1_790},
    "usd": {"plus": 1_090, "family": 1_990},
    "jpy": {"plus": 1_500, "family": 2_800},
    "kwd": {"plus": 3_250, "family": 5_900},
}
CURRENCIES, CURRENCY_SHARES = ("eur", "usd", "jpy"), (55, 38, 7)
# What an interval costs, in prices of a month.
MONTHS_PAID: dict[Interval, float] = {"day": 0.05, "week": 0.3, "month": 1, "year": 10}
EUR_TAX_PERCENT = 19
TRIAL_DAYS = 14
GIVEN_UP_AFTER = 14 * DAY
OTHER_PLAN: dict[Plan, Plan] = {"plus": "family", "family": "plus"}
SERVICE_FEE = {"eur": 4_900, "usd": 5_500, "jpy": 8_000, "kwd": 17_000}


def price(currency: str, plan: Plan, interval: Interval) -> int:
    """Give the price of a plan for one interval."""
    return round(MONTHLY_PRICES[currency][plan] * MONTHS_PAID[interval])


@dataclass(frozen=True)
class BillLine:
    """One line: an amount before tax for a plan and a stretch of time, or a fee without either."""

    amount: int
    tax: int = 0
    plan: Plan | None = None
    period: tuple[int, int] | None = None
    is_proration: bool = False
    discount: int = 0
    """What discounts take off; the tax is of the rest."""


@dataclass(frozen=True)
class Bill:
    """One bill and what becomes of it: a draft until `finalized`, then open until `settled`."""

    lines: tuple[BillLine, ...]
    created: int
    finalized: int
    outcome: Outcome = "paid"
    settled: int = 0
    balance_before: int = 0
    """The customer's balance; below 0 is money that the customer has with us."""
    of_subscription: bool = True
    given_back: tuple[Given, int] | None = None
    """How a part of what was paid went back, a day after it was settled, and how much."""

    @property
    def total(self) -> int:
        """What it amounts to, tax included; negative ones go to the balance."""
        return sum(line.amount - line.discount + line.tax for line in self.lines)

    @property
    def due(self) -> int:
        """What has to be paid."""
        return max(self.total + self.balance_before, 0)


@dataclass
class Life:
    """One customer with one subscription."""

    number: int
    currency: str
    plan: Plan
    interval: Interval
    began: int
    trial_end: int | None = None
    period: tuple[int, int] = (0, 0)
    """The current one."""
    asked_to_end: int | None = None
    ends: int | None = None
    unpaid_from: int | None = None
    """Begin of the period that was never paid, where the subscription then stays as it is."""
    plans: list[tuple[int, Plan]] = field(default_factory=list)
    """From which instant on which plan, in order."""
    percentages: tuple[int, ...] = ()
    """Discounts for as long as the subscription lives, one after the other, in percent."""
    amount_off: int = 0
    """What comes off each cycle besides, in minor units."""
    bills: list[Bill] = field(default_factory=list)


def lives(company: Company) -> list[Life]:
    """Everything up to the instant at which the company is looked at, and what is sure to follow of it."""
    found: list[Life] = []
    number = 0
    for day in range(company.last_day + 1):
        chance = Random(f"customers {day}")
        for _ in range(1 + (chance.random() < 0.45)):
            # Counted even if this one has not come yet: the numbers are the customers' own.
            number += 1
            began = company.start_of(day) + chance.randrange(0, 24 * 60) * MINUTE
            if began < company.now:
                found.append(_Script(company, number, began).play())
    return found


def months_later(instant: int, months: int) -> int:
    """The same day and time so many months later, or the month's last day where it has no such day."""
    start = as_datetime(instant)
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(dt.datetime.combine(dt.date(year, month, day), start.timetz()).timestamp()) * 1000


def cycles_later(instant: int, interval: Interval, number: int) -> int:
    """The begin of a later cycle."""
    if interval in ("day", "week"):
        return instant + number * DAY * (7 if interval == "week" else 1)
    return months_later(instant, number * (12 if interval == "year" else 1))


class _Script:
    def __init__(self, company: Company, number: int, began: int) -> None:
        self.chance = Random(f"customer {number}")
        self.now = company.now
        self.life = Life(
            number=number,
            currency=self.chance.choices(CURRENCIES, CURRENCY_SHARES)[0],
            plan="family" if self.chance.random() < 0.25 else "plus",
            interval="year" if self.chance.random() < 0.22 else "month",
            began=began,
        )
        self._rare = Random(f"rarities {number}")
        self._make_rare()
        self.life.plans = [(began, self.life.plan)]
        self.balance = 0

    def _make_rare(self) -> None:
        """Give some lives what few have: short cycles, a currency with three decimals, discounts."""
        life, rare = self.life, self._rare
        kind = rare.random()
        if kind < 0.03:
            life.currency = "kwd"
        elif kind < 0.06:
            life.interval = "week"
        elif kind < 0.08:
            life.interval = "day"
        if rare.random() < 0.12:
            life.percentages = rare.choice([(10,), (25,), (10, 20)])
        if rare.random() < 0.06:
            life.amount_off = price(life.currency, life.plan, life.interval) // 5

    def play(self) -> Life:
        """Play the life until it ends or lies ahead."""
        if self.chance.random() < 0.03:
            self._fee()
        self._play_periods()
        self.life.bills = [bill for bill in self.life.bills if bill.created < self.now]
        return self.life

    def _play_periods(self) -> None:
        life, chance = self.life, self.chance
        anchor = life.began
        if chance.random() < 0.3:
            anchor = life.trial_end = life.began + TRIAL_DAYS * DAY
            life.period = (life.began, anchor)
            self._bill([self._line(0, life.plan, life.period)], life.began, life.began)
            if chance.random() < 0.35:
                self._end(anchor, asked=life.began + chance.randrange(1, TRIAL_DAYS) * DAY)
                return
        for start, end in self._periods(anchor):
            if not self._play_period(start, end):
                return

    def _periods(self, anchor: int) -> Iterator[tuple[int, int]]:
        number = 0
        while (start := cycles_later(anchor, self.life.interval, number)) < self.now:
            number += 1
            yield start, cycles_later(anchor, self.life.interval, number)

    def _play_period(self, start: int, end: int) -> bool:
        """Play one period that is paid in advance; say whether another one follows."""
        life, chance = self.life, self.chance
        life.period = (start, end)
        line = self._line(price(life.currency, life.plan, life.interval), life.plan, life.period)
        payment, ending = chance.random(), chance.random()
        finalized, paid_after = start, chance.randrange(1, 30) * MINUTE
        if start != life.began:
            # Renewals stay drafts for an hour, and not every card works at once, or at all.
            finalized += HOUR
            if payment < 0.02:
                self._bill([line], start, finalized, "uncollectible", finalized + GIVEN_UP_AFTER)
                if self._rare.random() < 0.4:
                    # Kept though nobody pays: no more is billed.
                    life.unpaid_from = start
                else:
                    self._end(finalized + GIVEN_UP_AFTER)
                return False
            if payment < 0.07:
                paid_after = 3 * DAY
        self._bill([line], start, finalized, "paid", finalized + paid_after)
        self._give_back(line)
        middle = start + (end - start) // DAY // 2 * DAY
        if end - start <= 7 * DAY:
            # So short a cycle is left at its end, if at all.
            ending = 1 if ending < 0.99 else 0.1
        if ending < 0.05:
            self._change_plan(middle, end)
        elif ending < 0.065:
            self._end(middle)
            return False
        elif ending < 0.115:
            self._end(end, asked=end - 5 * DAY)
            return False
        return True

    def _change_plan(self, at: int, end: int) -> None:
        """Bill what the other plan costs more for the rest of the period; what it costs less goes to the balance."""
        life = self.life
        if at >= self.now:
            return
        before, after = life.plan, OTHER_PLAN[life.plan]
        unused, needed = (
            price(life.currency, plan, life.interval) * (end - at) // (end - life.period[0])
            for plan in (before, after)
        )
        lines = [
            self._line(-unused, before, (at, end), is_proration=True),
            self._line(needed, after, (at, end), is_proration=True),
        ]
        self._bill(lines, at, at)
        life.plan = after
        life.plans.append((at, after))

    def _give_back(self, line: BillLine) -> None:
        """Let some customers have a part of their money back."""
        if self._rare.random() >= 0.04 or self.life.bills[-1].due == 0:
            return
        kind: Given = self._rare.choice(["refund", "failed refund", "credit note", "refund by credit note"])
        bill = self.life.bills[-1]
        self.life.bills[-1] = replace(bill, given_back=(kind, max(bill.due // 3, 1)))

    def _fee(self) -> None:
        """Bill a fee by mistake; it is declared void two days later."""
        at = self.life.began + HOUR
        line = BillLine(SERVICE_FEE[self.life.currency])
        self.life.bills.append(Bill((line,), at, at, "void", at + 2 * DAY, of_subscription=False))

    def _line(
        self, amount: int, plan: Plan, period: tuple[int, int], *, is_proration: bool = False
    ) -> BillLine:
        percent = EUR_TAX_PERCENT if self.life.currency == "eur" else 0
        sign = -1 if amount < 0 else 1
        left = abs(amount)
        # Halves away from zero: what is given back is what was taken.
        for percentage in self.life.percentages:
            left -= (2 * left * percentage + 100) // 200
        if not is_proration:
            left = max(left - self.life.amount_off, 0)
        tax = (2 * left * percent + 100) // 200 * sign
        return BillLine(amount, tax, plan, period, is_proration, discount=amount - left * sign)

    def _bill(
        self,
        lines: list[BillLine],
        created: int,
        finalized: int,
        outcome: Outcome = "paid",
        settled: int | None = None,
    ) -> None:
        bill = Bill(
            tuple(lines), created, finalized, outcome, settled or finalized, balance_before=self.balance
        )
        if bill.due == 0:
            # Nothing to wait for.
            bill = replace(bill, outcome="paid", settled=finalized)
        self.balance = min(self.balance + bill.total, 0)
        self.life.bills.append(bill)

    def _end(self, at: int, asked: int | None = None) -> None:
        asked = at if asked is None else asked
        if asked < self.now:
            self.life.asked_to_end, self.life.ends = asked, at
