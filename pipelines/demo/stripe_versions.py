"""What the made-up Stripe account looks like to a caller of a given API version.

From 2025-03-31 (basil) on, invoices and their lines name their origin in `parent`, prices in `pricing`, and
the current period is the subscription items'. Before that they had fields of their own.
"""

from typing import Any

BASIL = "2025-03-31"
CLOVER = "2025-09-30"
NEWEST = "2026-10-28.endive"
EMBEDDED = 10
"""So many lines or items are embedded in an object; the rest has pages of its own."""

Expand = frozenset[str]


def is_old(version: str) -> bool:
    """Whether a version shows the shapes from before basil."""
    return version[:10] < BASIL


def expandable(resource: str, version: str) -> dict[str, str | None]:
    """What may be expanded in an object of a resource, and the resource that the key must be able to read for it."""
    coupon = "source.coupon" if version[:10] >= CLOVER else "coupon.applies_to"
    paths: dict[str, dict[str, str | None]] = {
        "customers": {f"discount.{coupon}": "coupons"},
        "prices": {"tiers": None, "currency_options": None, "product": "products"},
        "coupons": {"applies_to": None, "currency_options": None},
        "invoices": {"customer": "customers"},
        "subscription_items": {"discounts": None},
        "subscriptions": {
            "customer": "customers",
            "latest_invoice": "invoices",
            "discounts": None,
            f"discounts.{coupon}": "coupons",
            "items.data.discounts": None,
        },
    }
    return paths.get(resource, {})


def shown(resource: str, row: dict[str, Any], version: str, expand: Expand = frozenset()) -> dict[str, Any]:
    """Render one object of a listed resource; `expand` are paths of `expandable`."""
    if row.get("deleted"):
        return row
    match resource:
        case "invoices":
            return invoice(row, version)
        case "lines":
            return line(row, version)
        case "subscriptions":
            return subscription(row, version, expand)
        case "subscription_items":
            return item(row, version, expand)
        case "prices":
            return price(row, expand)
        case "coupons":
            return {
                name: value
                for name, value in row.items()
                if name not in {"applies_to", "currency_options"} or name in expand
            }
        case "customers":
            whole = row["discount"] and discount(
                row["discount"], version, with_coupon="discount.source.coupon" in expand
            )
            return {**row, "discount": whole}
        case "events":
            return {**row, "api_version": version}
    return row


def price(row: dict[str, Any], expand: Expand = frozenset()) -> dict[str, Any]:
    """A price, with tiers and other currencies only where asked for."""
    result = {name: value for name, value in row.items() if name not in {"tiers", "currency_options"}}
    if "tiers" in expand and row["tiers"]:
        result["tiers"] = row["tiers"]
    if "currency_options" in expand:
        # Tiers of other currencies would have to be asked for one by one.
        result["currency_options"] = {
            code: {name: value for name, value in option.items() if name != "tiers"}
            for code, option in row["currency_options"].items()
        }
    return result


def discount(row: dict[str, Any], version: str, *, with_coupon: bool = False) -> dict[str, Any]:
    """A discount; the newer versions name the coupon by its id unless it is expanded."""
    coupon = shown("coupons", row["source"]["coupon"], version)
    if version[:10] < CLOVER:
        return {**{name: value for name, value in row.items() if name != "source"}, "coupon": coupon}
    return {**row, "source": {"type": "coupon", "coupon": coupon if with_coupon else coupon["id"]}}


def discounts(rows: list[dict[str, Any]], version: str, path: str, expand: Expand) -> list[Any]:
    """Discounts of something: ids, unless they, or more of them, are expanded."""
    if not any(asked == path or asked.startswith(f"{path}.") for asked in expand):
        return [row["id"] for row in rows]
    return [discount(row, version, with_coupon=f"{path}.source.coupon" in expand) for row in rows]


def embedded(rows: list[dict[str, Any]], url: str) -> dict[str, Any]:
    """The list object inside another object."""
    return {"object": "list", "data": rows[:EMBEDDED], "has_more": len(rows) > EMBEDDED, "url": url}


def invoice(row: dict[str, Any], version: str) -> dict[str, Any]:
    """An invoice with its first lines."""
    lines = [line(entry, version) for entry in row["lines"][: EMBEDDED + 1]]
    result = {
        **row,
        "lines": embedded(lines, f"/v1/invoices/{row['id']}/lines"),
        "hosted_invoice_url": f"https://invoice.invalid/i/{row['id']}",
    }
    if not is_old(version):
        return result
    for name in ("parent", "total_taxes", "amount_overpaid"):
        del result[name]
    parent = row["parent"] or {}
    taxes = row["total_taxes"]
    return {
        **result,
        "charge": None,
        "discount": None,
        "paid": row["status"] == "paid",
        "paid_out_of_band": False,
        "payment_intent": None,
        "quote": None,
        "subscription": (parent.get("subscription_details") or {}).get("subscription"),
        "tax": sum(tax["amount"] for tax in taxes) if taxes else None,
        "total_tax_amounts": [_old_tax(tax) for tax in taxes],
    }


def line(row: dict[str, Any], version: str) -> dict[str, Any]:
    """A line of an invoice."""
    if not is_old(version):
        return row
    result = {
        name: value for name, value in row.items() if name not in {"parent", "pricing", "taxes", "subtotal"}
    }
    details = row["parent"][row["parent"]["type"]]
    pricing = row["pricing"]
    price = pricing and {
        "id": pricing["price_details"]["price"],
        "object": "price",
        "product": pricing["price_details"]["product"],
        "unit_amount_decimal": pricing["unit_amount_decimal"],
    }
    of_item = details.get("subscription_item")
    return {
        **result,
        "amount_excluding_tax": row["amount"],
        "invoice_item": details["invoice_item"],
        "plan": price and {"id": price["id"], "object": "plan", "product": price["product"]},
        "price": price,
        "proration": details["proration"],
        "proration_details": {"credited_items": None},
        **({"subscription_item": of_item} if of_item else {}),
        "tax_amounts": [_old_tax(tax) for tax in row["taxes"]],
        "tax_rates": [],
        "type": "invoiceitem" if details["invoice_item"] else "subscription",
    }


def subscription(row: dict[str, Any], version: str, expand: Expand = frozenset()) -> dict[str, Any]:
    """A subscription with its first items."""
    of_items = frozenset(
        path.removeprefix("items.data.") for path in expand if path.startswith("items.data.")
    )
    items = [item(entry, version, of_items) for entry in row["items"][: EMBEDDED + 1]]
    result = {
        **row,
        "discounts": discounts(row["discounts"], version, "discounts", expand),
        "items": embedded(items, f"/v1/subscription_items?subscription={row['id']}"),
    }
    if not is_old(version):
        return result
    rows = row["items"]
    return {
        **result,
        "current_period_start": rows[0]["current_period_start"] if rows else row["created"],
        "current_period_end": rows[0]["current_period_end"] if rows else row["created"],
        "discount": discount(row["discounts"][0], version) if row["discounts"] else None,
    }


def item(row: dict[str, Any], version: str, expand: Expand = frozenset()) -> dict[str, Any]:
    """An item of a subscription, with the plan that stands for its price beside it."""
    of_item = price(row["price"])
    recurring = of_item["recurring"] or {}
    result = {
        **row,
        "discounts": discounts(row["discounts"], version, "discounts", expand),
        "price": of_item,
        "plan": {
            "id": of_item["id"],
            "object": "plan",
            "amount": of_item["unit_amount"],
            "currency": of_item["currency"],
            "interval": recurring.get("interval"),
            "interval_count": recurring.get("interval_count"),
            "product": of_item["product"],
            "usage_type": recurring.get("usage_type"),
        },
    }
    if is_old(version):
        del result["current_period_start"], result["current_period_end"]
    return result


def _old_tax(tax: dict[str, Any]) -> dict[str, Any]:
    return {
        "amount": tax["amount"],
        "inclusive": tax["tax_behavior"] == "inclusive",
        "tax_rate": tax["tax_rate_details"]["tax_rate"],
        "taxability_reason": tax["taxability_reason"],
        "taxable_amount": tax["taxable_amount"],
    }
