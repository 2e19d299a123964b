"""The script of the customers as objects of a Stripe account, in the state they have at the company's `now`."""

from pipelines.demo.billing_script import MONTHLY_PRICES, MONTHS_PAID, Bill, BillLine, Life, lives, price
from pipelines.demo.calendar import DAY, Company, as_datetime
from pipelines.demo.stripe_account import Item, Line, StripeAccount, StripeObject

Prices = dict[tuple[str, str, str], str]
"""Currency, plan and interval -> id of the price."""


def stripe_account(company: Company) -> StripeAccount:
    """Make the whole account of the company.

    Objects are made in the order of their creation, so that a later look at the company finds them under
    the same ids, and newer ones after them.
    """
    account = StripeAccount(livemode=True, now=as_datetime(company.now), tells_history=True)
    prices = _add_prices(account, company)
    subscriptions: dict[int, StripeObject] = {}
    everybody = lives(company)
    acts: list[tuple[int, int, Life, Bill | None]] = [
        (life.began, life.number, life, None) for life in everybody
    ]
    acts += [(bill.created, life.number, life, bill) for life in everybody for bill in life.bills]
    # Stable: a life begins before its first bill, and its bills keep their order.
    for _, number, life, bill in sorted(acts, key=lambda act: act[:2]):
        if bill is None:
            subscriptions[number] = _begin(account, prices, life, company.now)
        else:
            _add_bill(account, prices, life, bill, subscriptions[number], company.now)
    return account


def _add_prices(account: StripeAccount, company: Company) -> Prices:
    founded = as_datetime(company.start_of(0))
    prices: Prices = {}
    for plan in ("plus", "family"):
        product = account.add_product(plan.capitalize(), created=founded)
        for currency in MONTHLY_PRICES:
            for interval in MONTHS_PAID:
                amount = price(currency, plan, interval)
                prices[currency, plan, interval] = account.add_price(
                    product, currency, amount, interval=interval, created=founded
                )
    return prices


def _begin(account: StripeAccount, prices: Prices, life: Life, now: int) -> StripeObject:
    """Add the customer and the subscription, in its present state."""
    began = as_datetime(life.began)
    customer = account.add_customer(
        created=began,
        currency=life.currency,
        name=f"Customer {life.number}",
        email=f"customer{life.number}@example.com",
    )
    is_over = life.ends is not None and life.ends < now
    subscription = account.add_subscription(
        customer,
        [Item(prices[life.currency, life.plan, life.interval])],
        created=began,
        status=_status(life, now),
        period=(as_datetime(life.period[0]), as_datetime(life.period[1])),
        cancel_at_period_end=life.ends is not None and not is_over,
        canceled_at=_seconds(life.asked_to_end),
        ended_at=_seconds(life.ends) if is_over else None,
        trial_start=_seconds(life.began) if life.trial_end else None,
        trial_end=_seconds(life.trial_end),
    )
    _add_discounts(account, life, subscription)
    stored = account.get("subscriptions", subscription)
    assert stored is not None
    return stored


def _add_discounts(account: StripeAccount, life: Life, subscription: str) -> None:
    began = as_datetime(life.began)
    for percentage in life.percentages:
        coupon = account.add_coupon(percent_off=percentage, duration="forever", created=began)
        account.add_discount(coupon, subscription=subscription, start=began)
    if life.amount_off:
        coupon = account.add_coupon(
            amount_off=life.amount_off, currency=life.currency, duration="forever", created=began
        )
        account.add_discount(coupon, subscription=subscription, start=began)


def _add_bill(
    account: StripeAccount, prices: Prices, life: Life, bill: Bill, subscription: StripeObject, now: int
) -> None:
    lines = [_line(line, prices, life, subscription) for line in bill.lines]
    invoice = account.add_invoice(
        subscription["customer"],
        life.currency,
        lines,
        created=as_datetime(bill.created),
        subscription=subscription["id"] if bill.of_subscription else None,
        billing_reason=_reason(life, bill),
        starting_balance=bill.balance_before,
        ending_balance=min(bill.balance_before + bill.total, 0),
    )
    _advance(account, invoice, bill, now)
    if bill.of_subscription:
        account.change(
            "subscriptions", subscription["id"], at=as_datetime(bill.created), latest_invoice=invoice
        )


def _reason(life: Life, bill: Bill) -> str:
    if not bill.of_subscription:
        return "manual"
    if bill.created == life.began:
        return "subscription_create"
    is_change = any(line.is_proration for line in bill.lines)
    return "subscription_update" if is_change else "subscription_cycle"


def _line(line: BillLine, prices: Prices, life: Life, subscription: StripeObject) -> Line:
    if line.plan is None or line.period is None:
        return Line(line.amount, description="Service fee", tax_amount=line.tax)
    return Line(
        line.amount,
        price=prices[life.currency, line.plan, life.interval],
        subscription=subscription["id"],
        subscription_item=subscription["items"][0]["id"],
        proration=line.is_proration,
        period=(as_datetime(line.period[0]), as_datetime(line.period[1])),
        discount_amount=line.discount,
        tax_amount=line.tax,
    )


def _advance(account: StripeAccount, invoice: str, bill: Bill, now: int) -> None:
    """Let happen to an invoice what has happened by now."""
    if bill.finalized >= now:
        return
    account.finalize(invoice, as_datetime(bill.finalized))
    if bill.settled >= now:
        return
    settled = as_datetime(bill.settled)
    if bill.outcome == "paid":
        account.pay(invoice, settled)
        if bill.settled + DAY < now:
            _give_back(account, invoice, bill)
    elif bill.outcome == "void":
        account.void(invoice, settled)
    else:
        account.mark_uncollectible(invoice, settled)


def _give_back(account: StripeAccount, invoice: str, bill: Bill) -> None:
    """Let a part of what was paid go back the day after."""
    if bill.given_back is None:
        return
    kind, amount = bill.given_back
    instant = as_datetime(bill.settled + DAY)
    if kind == "credit note":
        account.add_credit_note(invoice, amount, at=instant)
        return
    [payment] = [row for row in account.listed("invoice_payments") if row["invoice"] == invoice]
    refund = account.add_refund(payment["id"], amount, at=instant)
    if kind == "refund by credit note":
        account.add_credit_note(invoice, amount, refund=refund, refunded=amount, at=instant)
    elif kind == "failed refund":
        account.fail_refund(refund, instant)


def _status(life: Life, now: int) -> str:
    if life.ends is not None and life.ends < now:
        return "canceled"
    if life.trial_end is not None and now < life.trial_end:
        return "trialing"
    open_bills = [
        bill for bill in life.bills if bill.of_subscription and bill.finalized < now <= bill.settled
    ]
    if life.unpaid_from is not None and not open_bills and _is_given_up(life, now):
        return "unpaid"
    if not open_bills:
        return "active"
    return "incomplete" if open_bills[0].created == life.began else "past_due"


def _is_given_up(life: Life, now: int) -> bool:
    return any(bill.outcome == "uncollectible" and bill.settled < now for bill in life.bills)


def _seconds(instant: int | None) -> int | None:
    return None if instant is None else instant // 1000
