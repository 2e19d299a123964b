"""What is read of Stripe, and how its objects become rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipelines.sources.stripe.batches import Batch
from pipelines.sources.stripe.client import StripeApi
from pipelines.sources.stripe.columns import Table
from pipelines.sources.stripe.shapes import catalogue, invoices, payments, subscriptions
from pipelines.sources.stripe.shapes.reading import Row
from pipelines.sources.stripe.tables import (
    BALANCE_TRANSACTIONS,
    COUPON_CURRENCY_OPTIONS,
    COUPON_PRODUCTS,
    COUPONS,
    CREDIT_NOTE_REFUNDS,
    CREDIT_NOTES,
    CUSTOMERS,
    INVOICE_LINES,
    INVOICE_PAYMENTS,
    INVOICES,
    PRICE_CURRENCY_OPTIONS,
    PRICE_TIERS,
    PRICES,
    PRODUCTS,
    REFUNDS,
    SUBSCRIPTION_DISCOUNTS,
    SUBSCRIPTION_ITEMS,
    SUBSCRIPTIONS,
)

Raw = Mapping[str, Any]
Take = Callable[[Batch, StripeApi, Raw], None]

# From this version on a discount names its coupon by the coupon's id.
COUPON_BY_ID = "2025-09-30"


@dataclass(frozen=True)
class Resource:
    """One kind of object; its raw table bears the name of the list in Stripe's API."""

    table: Table
    kind: str
    take: Take
    """Adds the rows of one object, and of what belongs to it, to a batch."""
    lists: tuple[dict[str, Any], ...] = ({},)
    """Filters of the lists that hold all of them together."""
    expand: tuple[str, ...] = ()
    changes: bool = True
    """Whether objects change after they were made."""

    @property
    def name(self) -> str:
        """Its name in Stripe's API."""
        return self.table.name

    @property
    def path(self) -> str:
        """Of its list."""
        return f"/v1/{self.name}"

    def path_of(self, object_id: str) -> str:
        """Of one object."""
        return f"{self.path}/{quote(object_id, safe='')}"

    def expansions(self, version: str) -> tuple[str, ...]:
        """What is to be expanded in its objects in an API version."""
        if version[:10] >= COUPON_BY_ID:
            return self.expand
        # Before, discounts had their coupons in them.
        return tuple(path for path in self.expand if not path.endswith("source.coupon"))


def _plain(table: Table, kind: str, row_of: Callable[[Raw], Row], **options: Any) -> Resource:
    def take(batch: Batch, _api: StripeApi, raw: Raw) -> None:
        batch.add(table, kind, row_of(raw))

    return Resource(table, kind, take, **options)


def _with_parts(
    table: Table,
    kind: str,
    row_of: Callable[[Raw], Row],
    parts: dict[Table, Callable[[Raw], list[Row]]],
    **options: Any,
) -> Resource:
    def take(batch: Batch, _api: StripeApi, raw: Raw) -> None:
        if batch.add(table, kind, row_of(raw)):
            for part, rows_of in parts.items():
                batch.add_whole(part, kind, raw["id"], rows_of(raw))

    return Resource(table, kind, take, **options)


def _take_invoice(batch: Batch, api: StripeApi, raw: Raw) -> None:
    invoice_id = raw["id"]
    lines = api.rest(raw.get("lines"), f"{INVOICES_PATH}/{quote(invoice_id, safe='')}/lines")
    if batch.add(INVOICES, "invoice", invoices.invoice(raw)):
        rows = [
            invoices.invoice_line(line, invoice_id, position)
            for position, line in enumerate(lines)
            if batch.usable("line_item", line)
        ]
        batch.add_whole(INVOICE_LINES, "line_item", invoice_id, rows)


def _take_subscription(batch: Batch, api: StripeApi, raw: Raw) -> None:
    subscription_id = raw["id"]
    listed = api.rest(
        raw.get("items"), "/v1/subscription_items", subscription=subscription_id, expand=["data.discounts"]
    )
    items = [item for item in listed if batch.usable("subscription_item", item)]
    rows = [subscriptions.subscription_item(item, raw) for item in items]
    if batch.add(SUBSCRIPTIONS, "subscription", subscriptions.subscription(raw, rows)):
        batch.add_whole(SUBSCRIPTION_ITEMS, "subscription_item", subscription_id, rows)
        discounts = subscriptions.subscription_discounts(raw, items)
        batch.add_whole(SUBSCRIPTION_DISCOUNTS, "discount", subscription_id, discounts)


INVOICES_PATH = "/v1/invoices"

RESOURCES = {
    resource.name: resource
    for resource in (
        Resource(INVOICES, "invoice", _take_invoice),
        Resource(
            SUBSCRIPTIONS,
            "subscription",
            _take_subscription,
            lists=({"status": "all"},),
            expand=("discounts", "discounts.source.coupon", "items.data.discounts"),
        ),
        _plain(CUSTOMERS, "customer", catalogue.customer, expand=("discount.source.coupon",)),
        _plain(PRODUCTS, "product", catalogue.product),
        _with_parts(
            PRICES,
            "price",
            catalogue.price,
            {
                PRICE_TIERS: catalogue.price_tiers,
                PRICE_CURRENCY_OPTIONS: catalogue.price_currency_options,
            },
            lists=({"active": "true"}, {"active": "false"}),
            expand=("tiers", "currency_options"),
        ),
        _with_parts(
            COUPONS,
            "coupon",
            catalogue.coupon,
            {
                COUPON_PRODUCTS: catalogue.coupon_products,
                COUPON_CURRENCY_OPTIONS: catalogue.coupon_currency_options,
            },
            expand=("applies_to", "currency_options"),
        ),
        _plain(INVOICE_PAYMENTS, "invoice_payment", payments.invoice_payment),
        _with_parts(
            CREDIT_NOTES,
            "credit_note",
            payments.credit_note,
            {CREDIT_NOTE_REFUNDS: payments.credit_note_refunds},
        ),
        _plain(REFUNDS, "refund", payments.refund),
        _plain(BALANCE_TRANSACTIONS, "balance_transaction", payments.balance_transaction, changes=False),
    )
}
"""By name. Whatever tells of others comes before them."""
