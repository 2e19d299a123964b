"""A made-up Stripe account in memory: what is billed and paid in it.

Objects are kept in the newest shape (API version of `stripe_versions.NEWEST`) with whole lists of lines and
items; `stripe_versions` renders them as a caller's version shows them. Instants are given as datetimes
with a zone or as seconds since 1970, amounts in the currency's minor unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.demo.stripe_catalogue import Item, StripeCatalogue
from pipelines.demo.stripe_objects import KINDS, PREFIXES, Instant, StripeObject, seconds

__all__ = ["KINDS", "Instant", "Item", "Line", "StripeAccount", "StripeObject"]

FEE_PERCENT, FIXED_FEE = 3, 30


@dataclass(frozen=True)
class Line:
    """One line of an invoice. `amount` is before discounts and without exclusive tax."""

    amount: int
    price: str | None = None
    quantity: int = 1
    subscription: str | None = None
    subscription_item: str | None = None
    invoice_item: bool = False
    proration: bool = False
    period: tuple[Instant, Instant] | None = None
    discount_amount: int = 0
    tax_amount: int = 0
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class StripeAccount(StripeCatalogue):
    """Every object of one account in one mode (test or live)."""

    def add_invoice(
        self,
        customer: str,
        currency: str,
        lines: Sequence[Line],
        *,
        created: Instant | None = None,
        subscription: str | None = None,
        status: str = "draft",
        at: Instant | None = None,
        **fields: Any,
    ) -> str:
        """An invoice in any state: a draft, or finalised at `at` and perhaps moved on from there at once.

        For steps at different times make a draft, then finalize, pay, void or mark_uncollectible.
        """
        start = seconds(created) or self.now
        who = self.get("customers", customer) or {}
        invoice_id = self._next_id("invoices")
        base: StripeObject = {
            "id": invoice_id,
            "account_country": "US",
            "account_name": "Loopback",
            "attempt_count": 0,
            "attempted": False,
            "auto_advance": False,
            "billing_reason": "subscription_cycle" if subscription else "manual",
            "collection_method": "charge_automatically",
            "currency": currency,
            "customer": customer,
            "customer_address": who.get("address"),
            "customer_email": who.get("email"),
            "customer_name": who.get("name"),
            "customer_phone": who.get("phone"),
            "customer_shipping": who.get("shipping"),
            "description": None,
            "discounts": [],
            "due_date": None,
            "footer": None,
            "metadata": {},
            "number": None,
            "parent": subscription
            and {
                "type": "subscription_details",
                "quote_details": None,
                "subscription_details": {"metadata": {}, "subscription": subscription},
            },
            "period_end": start,
            "period_start": start,
            "post_payment_credit_notes_amount": 0,
            "pre_payment_credit_notes_amount": 0,
            "starting_balance": 0,
            "ending_balance": None,
            "effective_at": None,
            "status": "draft",
            "status_transitions": {
                "finalized_at": None,
                "marked_uncollectible_at": None,
                "paid_at": None,
                "voided_at": None,
            },
            "amount_paid": 0,
            "amount_overpaid": 0,
            "amount_shipping": 0,
            "lines": [self._line(invoice_id, line, currency, start) for line in lines],
        }
        self._add("invoices", start, base, fields)
        self._sum_up(invoice_id)
        if status != "draft":
            self.finalize(invoice_id, at if at is not None else start)
        if status == "paid":
            self.pay(invoice_id, at if at is not None else start)
        elif status == "void":
            self.void(invoice_id, at if at is not None else start)
        elif status == "uncollectible":
            self.mark_uncollectible(invoice_id, at if at is not None else start)
        return invoice_id

    def finalize(self, invoice_id: str, at: Instant | None = None) -> None:
        """Turn a draft into an open invoice; what is due waits for its payment."""
        with self.lock:
            self._turn(invoice_id, "open", "finalized_at", at, "finalized")
            invoice = self._objects["invoices"][invoice_id]
            if invoice["amount_remaining"]:
                self._add_payment(invoice, invoice["amount_remaining"], at, is_default=True)

    def pay(
        self,
        invoice_id: str,
        at: Instant | None = None,
        amount: int | None = None,
        *,
        out_of_band: bool = False,
    ) -> str | None:
        """Pay what is due, or a part of it, or more than it; gives the id of the payment (None where nothing was due)."""
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            sum_paid = invoice["amount_remaining"] if amount is None else amount
            paid = invoice["amount_paid"] + sum_paid
            payment = (
                self._settle_payment(invoice, sum_paid, at, out_of_band=out_of_band) if sum_paid else None
            )
            invoice["amount_paid"] = paid
            invoice["amount_remaining"] = max(self._owed(invoice) - paid, 0)
            invoice["amount_overpaid"] = max(paid - self._owed(invoice), 0)
            for waiting in self._payments(invoice_id):
                if waiting["status"] == "open":
                    self._wait_for(waiting, invoice["amount_remaining"], at)
            if invoice["amount_remaining"] == 0:
                self._turn(invoice_id, "paid", "paid_at", at, "paid")
            else:
                self._tell("invoices", "updated", invoice, at, {"amount_paid": paid - sum_paid})
            return payment

    def void(self, invoice_id: str, at: Instant | None = None) -> None:
        """Declare an invoice never to have been owed."""
        with self.lock:
            for payment in self._payments(invoice_id):
                if payment["status"] == "open":
                    self._wait_for(payment, 0, at)
            self._turn(invoice_id, "void", "voided_at", at, "voided")

    def mark_uncollectible(self, invoice_id: str, at: Instant | None = None) -> None:
        """Give an invoice up."""
        self._turn(invoice_id, "uncollectible", "marked_uncollectible_at", at, "marked_uncollectible")

    def add_refund(
        self, payment: str, amount: int | None = None, *, at: Instant | None = None, **fields: Any
    ) -> str:
        """Give back what an invoice's payment brought, or a part of it."""
        with self.lock:
            paid = self._objects["invoice_payments"][payment]
            sum_refunded = paid["amount_paid"] if amount is None else amount
            refund = self._own_id("refunds", payment)
            transaction = self._add_transaction(refund, "refund", -sum_refunded, paid["currency"], at)
            base: StripeObject = {
                "id": refund,
                "amount": sum_refunded,
                "balance_transaction": transaction,
                "charge": paid["payment"].get("charge"),
                "currency": paid["currency"],
                "description": None,
                "metadata": {},
                "payment_intent": paid["payment"].get("payment_intent"),
                "reason": None,
                "receipt_number": None,
                "status": "succeeded",
            }
            return self._add("refunds", at, base, fields)

    def fail_refund(self, refund: str, at: Instant | None = None) -> None:
        """Let the money of a refund come back."""
        with self.lock:
            row = self._objects["refunds"][refund]
            transaction = self._add_transaction(refund, "refund_failure", row["amount"], row["currency"], at)
            self.change(
                "refunds",
                refund,
                at=at,
                event="failed",
                status="failed",
                failure_reason="unknown",
                failure_balance_transaction=transaction,
            )

    def add_credit_note(
        self,
        invoice_id: str,
        amount: int,
        *,
        refund: str | None = None,
        refunded: int = 0,
        out_of_band: int = 0,
        at: Instant | None = None,
        **fields: Any,
    ) -> str:
        """Credit a part of an invoice; of a paid one what is neither refunded nor paid back elsewhere goes to the balance."""
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            before = min(amount, invoice["amount_remaining"]) if invoice["status"] == "open" else 0
            after = amount - before
            note = self._own_id("credit_notes", invoice_id)
            to_balance = after - refunded - out_of_band
            base: StripeObject = {
                "id": note,
                "amount": amount,
                "amount_shipping": 0,
                "currency": invoice["currency"],
                "customer": invoice["customer"],
                "customer_balance_transaction": f"cbtxn_{note[3:]}" if to_balance else None,
                "discount_amount": 0,
                "discount_amounts": [],
                "effective_at": self.now if at is None else seconds(at),
                "invoice": invoice_id,
                "lines": {
                    "object": "list",
                    "data": [],
                    "has_more": False,
                    "url": f"/v1/credit_notes/{note}/lines",
                },
                "memo": None,
                "metadata": {},
                "number": f"{invoice['number']}-CN",
                "out_of_band_amount": out_of_band or None,
                "pdf": f"https://pay.invalid/{note}",
                "post_payment_amount": after,
                "pre_payment_amount": before,
                "pretax_credit_amounts": [],
                "reason": None,
                "refunds": [{"amount_refunded": refunded, "refund": refund, "type": "refund"}]
                if refund
                else [],
                "shipping_cost": None,
                "status": "issued",
                "subtotal": amount,
                "subtotal_excluding_tax": amount,
                "total": amount,
                "total_excluding_tax": amount,
                "total_taxes": [],
                "type": "mixed" if before and after else "pre_payment" if before else "post_payment",
                "voided_at": None,
            }
            self._add("credit_notes", at, base, fields)
            old = {
                name: invoice[name]
                for name in ("pre_payment_credit_notes_amount", "post_payment_credit_notes_amount")
            }
            invoice["pre_payment_credit_notes_amount"] += before
            invoice["post_payment_credit_notes_amount"] += after
            invoice["amount_remaining"] -= before
            self._tell("invoices", "updated", invoice, at, old)
            if before and invoice["amount_remaining"] == 0:
                self._turn(invoice_id, "paid", "paid_at", at, "paid")
            return note

    def void_credit_note(self, note: str, at: Instant | None = None) -> None:
        """Take a credit note back that was issued before payment."""
        with self.lock:
            row = self._objects["credit_notes"][note]
            invoice = self._objects["invoices"][row["invoice"]]
            moment = self.now if at is None else seconds(at)
            self.change("credit_notes", note, at=at, event="voided", status="void", voided_at=moment)
            invoice["pre_payment_credit_notes_amount"] -= row["pre_payment_amount"]
            invoice["amount_remaining"] = max(self._owed(invoice) - invoice["amount_paid"], 0)
            self._tell("invoices", "updated", invoice, at, {"amount_remaining": None})

    def add_line(self, invoice_id: str, line: Line) -> str:
        """Put one more line on a draft."""
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            row = self._line(invoice_id, line, invoice["currency"], invoice["created"])
            invoice["lines"].append(row)
            self._sum_up(invoice_id)
            self._tell("invoices", "updated", invoice, None, {"lines": None})
            return str(row["id"])

    def remove_line(self, invoice_id: str, line_id: str) -> None:
        """Take a line off a draft."""
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            invoice["lines"] = [line for line in invoice["lines"] if line["id"] != line_id]
            self._sum_up(invoice_id)
            self._tell("invoices", "updated", invoice, None, {"lines": None})

    def _line(self, invoice_id: str, line: Line, currency: str, created: int) -> StripeObject:
        with self.lock:
            self._serial += 1
            serial = self._serial
        from_, to = line.period or (created, created)
        invoice_item = f"ii_{serial:012d}" if line.invoice_item or not line.subscription_item else None
        if line.subscription_item:
            kind = "subscription_item_details"
            details: StripeObject = {
                "invoice_item": invoice_item,
                "proration": line.proration,
                "proration_details": None,
                "subscription": line.subscription,
                "subscription_item": line.subscription_item,
            }
        else:
            kind = "invoice_item_details"
            details = {
                "invoice_item": invoice_item,
                "proration": line.proration,
                "proration_details": None,
                "subscription": line.subscription,
            }
        price = self._objects["prices"].get(line.price) if line.price else None
        other = "invoice_item_details" if line.subscription_item else "subscription_item_details"
        return {
            "id": f"il_{serial:012d}",
            "object": "line_item",
            "amount": line.amount,
            "currency": currency,
            "description": line.description,
            "discount_amounts": [{"amount": line.discount_amount, "discount": f"di_{serial:012d}"}]
            if line.discount_amount
            else [],
            "discountable": True,
            "discounts": [],
            "invoice": invoice_id,
            "livemode": self.livemode,
            "metadata": line.metadata,
            "parent": {"type": kind, kind: details, other: None},
            "period": {"start": seconds(from_), "end": seconds(to)},
            "pretax_credit_amounts": [],
            "pricing": price
            and {
                "type": "price_details",
                "price_details": {"price": price["id"], "product": price["product"]},
                "unit_amount_decimal": price["unit_amount_decimal"],
            },
            "quantity": line.quantity,
            "subscription": line.subscription,
            "subtotal": line.amount,
            "taxes": [
                {
                    "amount": line.tax_amount,
                    "tax_behavior": "exclusive",
                    "tax_rate_details": {"tax_rate": "txr_000000000001"},
                    "taxability_reason": "standard_rated",
                    "taxable_amount": line.amount - line.discount_amount,
                    "type": "tax_rate_details",
                }
            ]
            if line.tax_amount
            else [],
        }

    def _sum_up(self, invoice_id: str) -> None:
        invoice = self._objects["invoices"][invoice_id]
        lines = invoice["lines"]
        discounts = [discount for line in lines for discount in line["discount_amounts"]]
        taxes = [tax for line in lines for tax in line["taxes"]]
        subtotal = sum(line["amount"] for line in lines)
        without_tax = subtotal - sum(discount["amount"] for discount in discounts)
        total = without_tax + sum(tax["amount"] for tax in taxes)
        # What a credit note of the customer's balance covers is not due; too small or negative totals never are.
        due = max(total + invoice["starting_balance"], 0)
        invoice.update(
            subtotal=subtotal,
            subtotal_excluding_tax=subtotal,
            total=total,
            total_excluding_tax=without_tax,
            total_discount_amounts=discounts,
            total_taxes=taxes,
            amount_due=due,
            amount_remaining=max(due - invoice["amount_paid"], 0),
        )

    def _turn(self, invoice_id: str, status: str, moment: str, at: Instant | None, event: str) -> None:
        with self.lock:
            invoice = self._objects["invoices"][invoice_id]
            before = {"status": invoice["status"]}
            invoice["status"] = status
            invoice["status_transitions"][moment] = self.now if at is None else seconds(at)
            if status == "open":
                invoice["number"] = f"LOOP-{invoice_id[-6:]}"
                invoice["effective_at"] = invoice["status_transitions"][moment]
            self._tell("invoices", event, invoice, at, before)

    # -- money -------------------------------------------------------------------------------

    def _owed(self, invoice: StripeObject) -> int:
        due: int = invoice["amount_due"] - invoice["pre_payment_credit_notes_amount"]
        return due

    def _payments(self, invoice_id: str) -> list[StripeObject]:
        serial, rows = invoice_id.partition("_")[2], self._objects["invoice_payments"]
        ids = (f"{PREFIXES['invoice_payments']}_{serial}{chr(97 + number)}" for number in range(26))
        return [rows[payment] for payment in ids if payment in rows]

    def _own_id(self, resource: str, of: str) -> str:
        """An id made of another one: what is paid later does not change the ids of what is made meanwhile."""
        serial, number = of.partition("_")[2], 0
        while (made := f"{PREFIXES[resource]}_{serial}{chr(97 + number)}") in self._objects[resource]:
            number += 1
        return made

    def _add_payment(
        self, invoice: StripeObject, amount: int, at: Instant | None, *, is_default: bool = False
    ) -> StripeObject:
        payment = self._own_id("invoice_payments", invoice["id"])
        base: StripeObject = {
            "id": payment,
            "amount_paid": None,
            "amount_requested": amount,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": is_default,
            "payment": {"type": "payment_intent", "payment_intent": f"pi_{payment[6:]}"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
        self._add("invoice_payments", at, base, silently=True)
        return self._objects["invoice_payments"][payment]

    def _wait_for(self, payment: StripeObject, amount: int, at: Instant | None) -> None:
        """Let an awaited payment be for what is still due, if anything is."""
        if amount:
            payment["amount_requested"] = amount
        else:
            payment["status"] = "canceled"
            payment["status_transitions"]["canceled_at"] = self.now if at is None else seconds(at)

    def _settle_payment(
        self, invoice: StripeObject, amount: int, at: Instant | None, *, out_of_band: bool
    ) -> str:
        """Let one payment bring an amount: the one that waits for all of it, or another one."""
        waiting = [row for row in self._payments(invoice["id"]) if row["status"] == "open"]
        payment = waiting[0] if waiting else self._add_payment(invoice, amount, at)
        if waiting and amount < waiting[0]["amount_requested"]:
            payment = self._add_payment(invoice, amount, at)
        if out_of_band:
            payment["payment"] = {"type": "payment_record", "payment_record": f"prec_{payment['id'][6:]}"}
        payment["amount_paid"] = amount
        payment["status"] = "paid"
        payment["status_transitions"]["paid_at"] = self.now if at is None else seconds(at)
        if not out_of_band:
            fee = amount * FEE_PERCENT // 100 + FIXED_FEE
            self._add_transaction(f"ch_{payment['id'][6:]}", "charge", amount, invoice["currency"], at, fee)
        self._tell("invoice_payments", "paid", payment, at)
        return str(payment["id"])

    def _add_transaction(
        self, source: str, kind: str, amount: int, currency: str, at: Instant | None, fee: int = 0
    ) -> str:
        moment = self.now if at is None else seconds(at)
        assert moment is not None
        base: StripeObject = {
            "id": self._own_id("balance_transactions", source),
            "amount": amount,
            "available_on": moment + 2 * 86400,
            "balance_type": "payments",
            "currency": currency,
            "description": None,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [],
            "net": amount - fee,
            "reporting_category": kind,
            "source": source,
            "status": "available",
            "type": kind,
        }
        return self._add("balance_transactions", at, base)
