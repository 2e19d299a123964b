"""Customers, what is sold to them and at which discount, in a made-up Stripe account."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.demo.stripe_objects import Instant, StripeObject, StripeObjects, seconds


@dataclass(frozen=True)
class Item:
    """One item of a subscription: a price and how many of it (None for metered prices)."""

    price: str
    quantity: int | None = 1


class StripeCatalogue(StripeObjects):
    """Customers, products, prices, coupons and subscriptions."""

    def add_customer(self, *, created: Instant | None = None, **fields: Any) -> str:
        """A customer. `fields` replace or add to what the API shows, such as name, email, currency."""
        base: StripeObject = {
            "address": None,
            "balance": 0,
            "currency": None,
            "default_source": None,
            "delinquent": False,
            "description": None,
            "discount": None,
            "email": None,
            "metadata": {},
            "name": None,
            "phone": None,
            "preferred_locales": [],
            "shipping": None,
            "tax_exempt": "none",
        }
        return self._add("customers", created, base, fields)

    def add_product(self, name: str, *, created: Instant | None = None, **fields: Any) -> str:
        """A product."""
        base: StripeObject = {
            "active": True,
            "description": None,
            "metadata": {},
            "name": name,
            "type": "service",
        }
        return self._add("products", created, base, fields)

    def add_price(
        self,
        product: str,
        currency: str,
        unit_amount: int | None,
        *,
        interval: str | None = "month",
        interval_count: int = 1,
        usage_type: str = "licensed",
        tiers: Sequence[StripeObject] | None = None,
        tiers_mode: str = "graduated",
        currency_options: StripeObject | None = None,
        created: Instant | None = None,
        **fields: Any,
    ) -> str:
        """A price of a product; recurring, unless `interval` is None.

        `tiers` are dicts of up_to (None for the last), unit_amount, flat_amount and their decimals;
        `currency_options` are unit_amount and such by currency. Both are shown only to who expands them.
        """
        recurring = interval and {
            "interval": interval,
            "interval_count": interval_count,
            "meter": None,
            "trial_period_days": None,
            "usage_type": usage_type,
        }
        exact = None if unit_amount is None else str(unit_amount)
        own = {"custom_unit_amount": None, "tax_behavior": "unspecified"}
        base: StripeObject = {
            "active": True,
            "billing_scheme": "tiered" if tiers else "per_unit",
            "currency": currency,
            "currency_options": {
                currency: {"unit_amount": unit_amount, "unit_amount_decimal": exact, **own}
                | ({"tiers": [_tier(tier) for tier in tiers]} if tiers else {}),
                **{
                    code: {**own, "unit_amount_decimal": _exact(option.get("unit_amount")), **option}
                    for code, option in (currency_options or {}).items()
                },
            },
            "custom_unit_amount": None,
            "lookup_key": None,
            "metadata": {},
            "nickname": None,
            "product": product,
            "recurring": recurring,
            "tax_behavior": "unspecified",
            "tiers": [_tier(tier) for tier in tiers] if tiers else None,
            "tiers_mode": tiers_mode if tiers else None,
            "transform_quantity": None,
            "type": "recurring" if recurring else "one_time",
            "unit_amount": unit_amount,
            "unit_amount_decimal": exact,
        }
        return self._add("prices", created, base, fields)

    def add_coupon(
        self,
        *,
        percent_off: float | None = None,
        amount_off: int | None = None,
        currency: str | None = None,
        duration: str = "forever",
        months: int | None = None,
        products: Sequence[str] | None = None,
        created: Instant | None = None,
        **fields: Any,
    ) -> str:
        """A coupon: a percentage, or an amount of a currency; `months` where the duration is repeating."""
        base: StripeObject = {
            "amount_off": amount_off,
            "applies_to": {"products": list(products)} if products is not None else None,
            "currency": currency,
            "currency_options": {currency: {"amount_off": amount_off}} if amount_off is not None else None,
            "duration": duration,
            "duration_in_months": months,
            "max_redemptions": None,
            "metadata": {},
            "name": None,
            "percent_off": percent_off,
            "redeem_by": None,
            "times_redeemed": 0,
            "valid": True,
        }
        return self._add("coupons", created, base, fields)

    def add_subscription(
        self,
        customer: str,
        items: Iterable[Item],
        *,
        created: Instant | None = None,
        status: str = "active",
        period: tuple[Instant, Instant] | None = None,
        **fields: Any,
    ) -> str:
        """A subscription with its items; `period` is the current period of all of them."""
        start = seconds(created) or self.now
        from_, to = period or (start, start + 30 * 86400)
        subscription_id = self._next_id("subscriptions")
        rows = [self._item(subscription_id, item, start, (from_, to)) for item in items]
        base: StripeObject = {
            "id": subscription_id,
            "billing_cycle_anchor": start,
            "cancel_at": None,
            "cancel_at_period_end": False,
            "canceled_at": None,
            "collection_method": "charge_automatically",
            "currency": rows[0]["price"]["currency"] if rows else None,
            "customer": customer,
            "default_tax_rates": [],
            "description": None,
            "discounts": [],
            "ended_at": None,
            "items": rows,
            "latest_invoice": None,
            "metadata": {},
            "pause_collection": None,
            "start_date": start,
            "status": status,
            "trial_end": None,
            "trial_start": None,
        }
        return self._add("subscriptions", start, base, fields)

    def cancel(self, subscription_id: str, at: Instant | None = None) -> None:
        """End a subscription at once."""
        moment = self.now if at is None else seconds(at)
        self.change(
            "subscriptions",
            subscription_id,
            at=at,
            event="deleted",
            status="canceled",
            canceled_at=moment,
            ended_at=moment,
        )

    def set_items(self, subscription_id: str, items: Iterable[Item], at: Instant | None = None) -> None:
        """Let a subscription have these items from now on, in its current period."""
        with self.lock:
            row = self._objects["subscriptions"][subscription_id]
            old = row["items"]
            first = (
                old[0] if old else {"current_period_start": row["created"], "current_period_end": self.now}
            )
            period = (first["current_period_start"], first["current_period_end"])
            kept = {entry["price"]["id"]: entry for entry in old}
            made = [
                {**kept[item.price], "quantity": item.quantity}
                if item.price in kept
                else self._item(subscription_id, item, seconds(at) or self.now, period)
                for item in items
            ]
            self.change("subscriptions", subscription_id, at=at, items=made)

    def add_discount(
        self,
        coupon: str,
        *,
        subscription: str | None = None,
        item: str | None = None,
        customer: str | None = None,
        start: Instant | None = None,
        end: Instant | None = None,
    ) -> str:
        """Give the discount of a coupon to a subscription, to one item of it, or to a customer."""
        with self.lock:
            self._serial += 1
            discount_id = f"di_{self._serial:012d}"
            owner = self._objects["subscriptions"][subscription] if subscription else None
            discount: StripeObject = {
                "id": discount_id,
                "object": "discount",
                "checkout_session": None,
                "customer": owner["customer"] if owner else customer,
                "end": seconds(end),
                "invoice": None,
                "invoice_item": None,
                "promotion_code": None,
                # The coupon stays what it was, even when it is deleted.
                "source": {"type": "coupon", "coupon": dict(self._objects["coupons"][coupon])},
                "start": self.now if start is None else seconds(start),
                "subscription": subscription,
                "subscription_item": item,
            }
            if owner is None:
                assert customer is not None
                self.change("customers", customer, silently=True, discount=discount)
            elif item is None:
                self.change(
                    "subscriptions", owner["id"], silently=True, discounts=[*owner["discounts"], discount]
                )
            else:
                for entry in owner["items"]:
                    if entry["id"] == item:
                        entry["discounts"] = [*entry["discounts"], discount]
            self._add_event("customer.discount.created", {"object": dict(discount)}, start)
            return discount_id

    def end_discounts(self, *, subscription: str | None = None, customer: str | None = None) -> None:
        """Take every discount away from a subscription and its items, or from a customer."""
        with self.lock:
            if subscription is not None:
                owner = self._objects["subscriptions"][subscription]
                gone = owner["discounts"] + [entry for row in owner["items"] for entry in row["discounts"]]
                owner["discounts"] = []
                for row in owner["items"]:
                    row["discounts"] = []
            else:
                assert customer is not None
                who = self._objects["customers"][customer]
                gone = [who["discount"]] if who["discount"] else []
                who["discount"] = None
            for discount in gone:
                self._add_event("customer.discount.deleted", {"object": {**discount, "deleted": True}})

    def _item(
        self, subscription_id: str, item: Item, created: int, period: tuple[Instant, Instant]
    ) -> StripeObject:
        with self.lock:
            self._serial += 1
            return {
                "id": f"si_{self._serial:012d}",
                "object": "subscription_item",
                "created": created,
                "current_period_start": seconds(period[0]),
                "current_period_end": seconds(period[1]),
                "discounts": [],
                "metadata": {},
                "price": self._objects["prices"][item.price],
                "quantity": item.quantity,
                "subscription": subscription_id,
                "tax_rates": [],
            }


def _exact(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


def _tier(tier: StripeObject) -> StripeObject:
    unit, flat = tier.get("unit_amount"), tier.get("flat_amount")
    return {
        "flat_amount": flat,
        "flat_amount_decimal": _exact(flat),
        "unit_amount": unit,
        "unit_amount_decimal": _exact(unit),
        "up_to": None,
        **tier,
    }
