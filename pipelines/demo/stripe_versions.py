"""What the made-up Stripe account looks like to a caller of a given API version.

From 2025-03-31 (basil) on, invoices and their lines name their origin in `parent`, prices in `pricing`, and
the current period is the subscription items'. Before that they had fields of their own.
"""

from typing import Any

BASIL = "2025-03-31"
NEWEST = "2026-10-28.endive"
EMBEDDED = 10
"""So many lines or items are embedded in an object; the rest has pages of its own."""


def is_old(version: str) -> bool:
    """Whether a version shows the shapes from before basil."""
    return version[:10] < BASIL


def shown(resource: str, row: dict[str, Any], version: str) -> dict[str, Any]:
    """Render one object of a listed resource."""
    if row.get("deleted"):
        return row
    render = {"invoices": invoice, "subscriptions": subscription, "lines": line, "subscription_items": item}
    return render[resource](row, version) if resource in render else row


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


def subscription(row: dict[str, Any], version: str) -> dict[str, Any]:
    """A subscription with its first items."""
    items = [item(entry, version) for entry in row["items"][: EMBEDDED + 1]]
    result = {**row, "items": embedded(items, f"/v1/subscription_items?subscription={row['id']}")}
    if not is_old(version):
        return result
    rows = row["items"]
    return {
        **result,
        "current_period_start": rows[0]["current_period_start"] if rows else row["created"],
        "current_period_end": rows[0]["current_period_end"] if rows else row["created"],
        "discount": None,
    }


def item(row: dict[str, Any], version: str) -> dict[str, Any]:
    """An item of a subscription, with the plan that stands for its price beside it."""
    price = row["price"]
    recurring = price["recurring"] or {}
    result = {
        **row,
        "plan": {
            "id": price["id"],
            "object": "plan",
            "amount": price["unit_amount"],
            "currency": price["currency"],
            "interval": recurring.get("interval"),
            "interval_count": recurring.get("interval_count"),
            "product": price["product"],
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
