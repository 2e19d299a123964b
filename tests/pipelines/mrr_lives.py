"""Lives of subscriptions made up by chance: what they are, and the rows of Stripe that tell of them."""

import calendar
import datetime as dt
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from random import Random

import reference.mrr as reference
from mrr_support import Raw

CURRENCIES = {"usd": 2, "jpy": 0, "kwd": 3}
MONTHS = {"month": 1, "year": 12}
DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True)
class Told:
    """A life and what of it stands in Stripe besides."""

    life: reference.Life
    created: dt.datetime
    trial_ends: dt.datetime | None
    status: str
    bills_changes_at_once: bool
    unpaid_from: dt.datetime | None


def later(anchor: dt.datetime, interval: str, count: int, number: int) -> dt.datetime:
    """The begin of the cycle of that number; a month without the anchor's day ends on its last one."""
    if interval in DAYS:
        return anchor + dt.timedelta(days=DAYS[interval] * count * number)
    months = anchor.month - 1 + MONTHS[interval] * count * number
    year, month = anchor.year + months // 12, months % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, calendar.monthrange(year, month)[1]))


CYCLES = [
    *(("month", 1), ("month", 1), ("month", 3), ("year", 1)),
    *(("week", 1), ("week", 2), ("day", 1), ("day", 10)),
]
FATES = ["goes on", "goes on", "cancelled", "at period end", "unpaid", "incomplete"]


def life_before(now: dt.datetime, name: str, chance: Random) -> Told:
    """One life before `now`."""
    currency = chance.choice(sorted(CURRENCIES))
    interval, count = chance.choice(CYCLES)
    minutes = chance.randint(60, 60 * 24 * 400)
    created = now - dt.timedelta(minutes=minutes)
    trial_days = chance.choice([0, 0, 0, 7, 30])
    begins = created + dt.timedelta(days=trial_days)
    fate = chance.choice(FATES)
    unit = chance.randint(0, 20_000)
    terms = [reference.Terms(begins, Fraction(unit), chance.randint(1, 5))]
    for moment in sorted({chance.randint(1, minutes) for _ in range(chance.randint(0, 3))}):
        instant = created + dt.timedelta(minutes=moment)
        if begins < instant < now:
            if chance.random() < 0.5:
                unit = chance.randint(1, 20_000)
            terms.append(reference.Terms(instant, Fraction(unit), chance.randint(1, 5)))
    ends = unpaid_from = None
    if fate == "cancelled":
        ends = created + dt.timedelta(minutes=chance.randint(1, minutes))
    elif fate in {"at period end", "unpaid"}:
        cycle = chance.randint(1, 3)
        end = later(begins, interval, count, cycle)
        if end < now:
            ends = end
            unpaid_from = end if fate == "unpaid" else None
    discounts = []
    for _ in range(chance.randint(0, 3)):
        start = created + dt.timedelta(minutes=chance.randint(0, minutes))
        end_of_it = chance.choice([None, start + dt.timedelta(days=90), start + dt.timedelta(days=10)])
        if chance.random() < 0.5:
            percent = Fraction(chance.randint(1, 10_000), 100)
            discounts.append(reference.Discount(start, end_of_it, percent=percent))
        else:
            discounts.append(reference.Discount(start, end_of_it, amount=chance.randint(1, 5_000)))
    if fate == "incomplete":
        status = "incomplete_expired"
    elif ends is not None:
        status = "unpaid" if unpaid_from else "canceled"
    else:
        status = "trialing" if begins > now else "active"
    has_begun = fate != "incomplete" and begins <= now
    life = reference.Life(
        name=name,
        customer=f"cus_{chance.randint(0, 12)}",
        currency=currency,
        decimals=CURRENCIES[currency],
        interval=interval,
        interval_count=count,
        begins=begins if has_begun else None,
        ends=ends,
        terms=tuple(terms if ends is None else [entry for entry in terms if entry.since < ends] or terms[:1]),
        discounts=tuple(discounts),
        inclusive_tax=chance.choice([Fraction(0), Fraction(0), Fraction(19), Fraction(81, 10)]),
    )
    trial = begins if trial_days else None
    return Told(life, created, trial, status, chance.random() < 0.5, unpaid_from)


def tell(raw: Raw, told: Told) -> None:
    """Write what Stripe would show of a life now: the subscription as it is, and every invoice so far."""
    life, now = told.life, raw.synced_at
    last = life.terms[-1]
    trial = {"trial_start_at": told.created, "trial_end_at": told.trial_ends} if told.trial_ends else {}
    is_over = told.status == "canceled"
    raw.subscription(
        life.name,
        [
            {
                "price_id": _price(raw, told, last),
                "quantity": last.quantity,
                "inclusive_tax_percentage": str(float(life.inclusive_tax)) if life.inclusive_tax else None,
            }
        ],
        created=told.created,
        status=told.status,
        customer=life.customer,
        currency=life.currency,
        ended_at=life.ends if is_over else None,
        canceled_at=life.ends if is_over else None,
        discounts=[
            {
                "start_at": discount.start,
                "end_at": discount.end,
                "duration": "repeating" if discount.end else "forever",
                "percent_off": None if discount.percent is None else str(float(discount.percent)),
                "amount_off": discount.amount,
                "currency": life.currency if discount.amount else None,
            }
            for discount in life.discounts
        ],
        **trial,
    )
    if told.trial_ends:
        line = {"amount": 0, "price_id": _price(raw, told, life.terms[0]), "quantity": life.terms[0].quantity}
        _invoice(raw, told, told.created, [{**line, "period": (told.created, told.trial_ends)}])
    if life.begins is not None:
        _tell_periods(raw, told, now)


def _tell_periods(raw: Raw, told: Told, now: dt.datetime) -> None:
    life = told.life
    assert life.begins is not None
    over = min(life.ends or now, now)
    starts = [life.begins]
    while starts[-1] < over:
        starts.append(later(life.begins, life.interval, life.interval_count, len(starts)))
    pending: list[dict[str, object]] = []
    for start, end in pairwise(starts):
        state = [terms for terms in life.terms if terms.since <= start][-1]
        _invoice(raw, told, start, [*pending, _line(raw, told, state, start, end)])
        pending = []
        for before, after in pairwise(life.terms):
            if start < after.since < end:
                change = [
                    _line(
                        raw,
                        told,
                        terms,
                        after.since,
                        end,
                        part=(end - after.since) / (end - start),
                        sign=sign,
                    )
                    for terms, sign in ((before, -1), (after, 1))
                ]
                if told.bills_changes_at_once or end >= over:
                    _invoice(raw, told, after.since, change)
                else:
                    pending += change
    if told.unpaid_from is not None:
        end = later(life.begins, life.interval, life.interval_count, len(starts))
        _invoice(
            raw,
            told,
            told.unpaid_from,
            [_line(raw, told, life.terms[-1], told.unpaid_from, end)],
            status="open",
        )


def _price(raw: Raw, told: Told, terms: reference.Terms) -> str:
    life = told.life
    name = f"price_{life.currency}_{life.interval}_{life.interval_count}_{terms.unit_amount}"
    if name not in {row["id"] for row in raw.rows.get("prices", [])}:
        raw.price(name, life.currency, int(terms.unit_amount), life.interval, life.interval_count)
    return name


def _line(
    raw: Raw,
    told: Told,
    terms: reference.Terms,
    start: dt.datetime,
    end: dt.datetime,
    part: float = 1.0,
    sign: int = 1,
) -> dict[str, object]:
    whole = int(terms.unit_amount) * terms.quantity
    return {
        "amount": whole if part == 1.0 else sign * max(round(whole * part), 1),
        "quantity": terms.quantity,
        "price_id": _price(raw, told, terms),
        "is_proration": part != 1.0,
        "period": (start, end),
    }


def _invoice(
    raw: Raw, told: Told, created: dt.datetime, lines: list[dict[str, object]], status: str = "paid"
) -> None:
    raw.invoice(
        told.life.name,
        created,
        lines,
        currency=told.life.currency,
        customer=told.life.customer,
        status=status,
    )
