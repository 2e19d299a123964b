"""What is read of Stripe, and how its objects become rows."""

from collections.abc import Callable
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

Raw = dict[str, Any]
Whole = tuple[Raw, list[Any]]
"""An object, and the entries of the list in it that may have had to be read to its end."""
Take = Callable[[Batch, list[Whole]], None]

# From this version on a discount names its coupon by the coupon's id.
COUPON_BY_ID = "2025-09-30"


@dataclass(frozen=True)
class Resource:
    """One kind of object; its raw table bears the name of the list in Stripe's API."""

    table: Table
    kind: str
    take: Take
    """Adds the rows of objects, and of what belongs to them, to a batch."""
    nested: Callable[[StripeApi, Raw], list[Any]] = lambda api, raw: []
    """Reads the list in an object to its end. Raises Missing where the object is gone meanwhile."""
    lists: tuple[dict[str, Any], ...] = ({},)
    """Filters of the lists that hold all of them together."""
    expand: tuple[str, ...] = ()
    changes: bool = True
    """Whether objects change after they were made."""
    goes_too: tuple[Table, ...] = ()
    """What of an object goes with it once it is deleted; the rest stays as it was last seen."""

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
    return _with_parts(table, kind, row_of, {}, **options)


def _with_parts(
    table: Table,
    kind: str,
    row_of: Callable[[Raw], Row],
    parts: dict[Table, Callable[[Raw], list[Row]]],
    **options: Any,
) -> Resource:
    def take(batch: Batch, found: list[Whole]) -> None:
        taken = batch.add_all(table, kind, [row_of(raw) for raw, _ in found])
        for part, rows_of in parts.items():
            batch.add_whole(part, kind, {raw["id"]: rows_of(raw) for raw, _ in found if raw["id"] in taken})

    return Resource(table, kind, take, **options)


def _lines(api: StripeApi, raw: Raw) -> list[Any]:
    return api.rest(raw.get("lines"), f"{INVOICES_PATH}/{quote(raw['id'], safe='')}/lines")


def _take_invoices(batch: Batch, found: list[Whole]) -> None:
    taken = batch.add_all(INVOICES, "invoice", [invoices.invoice(raw) for raw, _ in found])
    lines = {
        raw["id"]: [
            invoices.invoice_line(line, raw["id"], position)
            for position, line in enumerate(nested)
            if batch.usable("line_item", line)
        ]
        for raw, nested in found
        if raw["id"] in taken
    }
    batch.add_whole(INVOICE_LINES, "line_item", lines)


def _items(api: StripeApi, raw: Raw) -> list[Any]:
    query = {"subscription": raw["id"], "expand": ["data.discounts"]}
    return api.rest(raw.get("items"), "/v1/subscription_items", **query)


def _take_subscriptions(batch: Batch, found: list[Whole]) -> None:
    rows, items, discounts = [], {}, {}
    for raw, nested in found:
        own = [item for item in nested if batch.usable("subscription_item", item)]
        items[raw["id"]] = [subscriptions.subscription_item(item, raw) for item in own]
        discounts[raw["id"]] = subscriptions.subscription_discounts(raw, own)
        rows.append(subscriptions.subscription(raw, items[raw["id"]]))
    taken = batch.add_all(SUBSCRIPTIONS, "subscription", rows)
    for table, kind, parts in (
        (SUBSCRIPTION_ITEMS, "subscription_item", items),
        (SUBSCRIPTION_DISCOUNTS, "discount", discounts),
    ):
        batch.add_whole(table, kind, {owner: own for owner, own in parts.items() if owner in taken})


INVOICES_PATH = "/v1/invoices"

RESOURCES = {
    resource.name: resource
    for resource in (
        Resource(INVOICES, "invoice", _take_invoices, _lines, goes_too=(INVOICE_LINES,)),
        Resource(
            SUBSCRIPTIONS,
            "subscription",
            _take_subscriptions,
            _items,
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
