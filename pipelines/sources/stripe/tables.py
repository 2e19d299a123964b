"""The raw tables of Stripe, one beside the other: what is stored of each object."""

from pipelines.sources.stripe.columns import (
    CHOSEN_IDENTIFIER,
    CODE,
    CURRENCY,
    FLAG,
    IDENTIFIER,
    INSTANT,
    INTEGER,
    NUMBER_TEXT,
    WORDS,
    Column,
    Kind,
    Table,
)


def _must(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, required=True) for name in names)


def _may(kind: Kind, *names: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind) for name in names)


_OBJECT = (*_must(FLAG, "livemode", "is_deleted"), *_must(INSTANT, "requested_at"))

_DISCOUNT = (
    *_may(CHOSEN_IDENTIFIER, "coupon_id"),
    *_may(NUMBER_TEXT, "percent_off"),
    *_may(INTEGER, "amount_off"),
    *_may(CURRENCY, "currency"),
    *_may(CODE, "duration"),
    *_may(INTEGER, "duration_in_months"),
    *_may(INSTANT, "start_at", "end_at"),
)
_TERMS = (
    *_may(CHOSEN_IDENTIFIER, "price_id", "product_id"),
    *_may(CURRENCY, "currency"),
    *_may(CODE, "price_type", "billing_scheme", "tiers_mode"),
    *_may(INTEGER, "unit_amount"),
    *_may(NUMBER_TEXT, "unit_amount_decimal"),
    *_may(CODE, "interval"),
    *_may(INTEGER, "interval_count"),
    *_may(CODE, "usage_type"),
    *_may(INTEGER, "transform_divide_by"),
    *_may(CODE, "transform_round"),
)
_TAXED = _may(NUMBER_TEXT, "inclusive_tax_percentage")
_LIFE = (
    *_may(IDENTIFIER, "customer_id"),
    *_must(CODE, "status"),
    *_must(CURRENCY, "currency"),
    *_must(INSTANT, "created_at"),
    *_may(INSTANT, "start_at", "trial_start_at", "trial_end_at", "cancel_at"),
    *_may(FLAG, "cancel_at_period_end"),
    *_may(INSTANT, "canceled_at", "ended_at"),
    *_may(CODE, "pause_behavior"),
    *_may(INSTANT, "pause_resumes_at"),
)

CUSTOMERS = Table(
    "customers",
    (
        *_must(IDENTIFIER, "id"),
        *_may(CURRENCY, "currency"),
        *_may(FLAG, "delinquent"),
        *_may(IDENTIFIER, "discount_id"),
        *(
            Column(f"discount_{column.name}", column.kind)
            for column in _DISCOUNT
            if column.name != "duration_in_months"
        ),
        *_must(INSTANT, "created_at"),
        *_OBJECT,
    ),
)
PRODUCTS = Table(
    "products",
    (*_must(CHOSEN_IDENTIFIER, "id"), *_may(FLAG, "active"), *_must(INSTANT, "created_at"), *_OBJECT),
)
PRICES = Table(
    "prices",
    (
        *_must(CHOSEN_IDENTIFIER, "id"),
        *(column for column in _TERMS if column.name != "price_id"),
        *_may(FLAG, "active"),
        *_may(CODE, "tax_behavior"),
        *_must(INSTANT, "created_at"),
        *_OBJECT,
    ),
)
PRICE_TIERS = Table(
    "price_tiers",
    (
        *_must(CHOSEN_IDENTIFIER, "id", "price_id"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "position"),
        *_may(INTEGER, "up_to", "unit_amount"),
        *_may(NUMBER_TEXT, "unit_amount_decimal"),
        *_may(INTEGER, "flat_amount"),
        *_may(NUMBER_TEXT, "flat_amount_decimal"),
        *_OBJECT,
    ),
    owner="price_id",
)
PRICE_CURRENCY_OPTIONS = Table(
    "price_currency_options",
    (
        *_must(CHOSEN_IDENTIFIER, "id", "price_id"),
        *_must(CURRENCY, "currency"),
        *_may(INTEGER, "unit_amount"),
        *_may(NUMBER_TEXT, "unit_amount_decimal"),
        *_may(CODE, "tax_behavior"),
        *_OBJECT,
    ),
    owner="price_id",
)
COUPONS = Table(
    "coupons",
    (
        *_must(CHOSEN_IDENTIFIER, "id"),
        *_must(CODE, "duration"),
        *_may(INTEGER, "duration_in_months"),
        *_may(NUMBER_TEXT, "percent_off"),
        *_may(INTEGER, "amount_off"),
        *_may(CURRENCY, "currency"),
        *_may(FLAG, "valid", "has_product_limits"),
        *_must(INSTANT, "created_at"),
        *_OBJECT,
    ),
)
COUPON_PRODUCTS = Table(
    "coupon_products",
    (*_must(CHOSEN_IDENTIFIER, "id", "coupon_id", "product_id"), *_OBJECT),
    owner="coupon_id",
)
COUPON_CURRENCY_OPTIONS = Table(
    "coupon_currency_options",
    (
        *_must(CHOSEN_IDENTIFIER, "id", "coupon_id"),
        *_must(CURRENCY, "currency"),
        *_may(INTEGER, "amount_off"),
        *_OBJECT,
    ),
    owner="coupon_id",
)
SUBSCRIPTIONS = Table(
    "subscriptions",
    (
        *_must(IDENTIFIER, "id"),
        *_LIFE,
        *_may(CODE, "collection_method"),
        *_may(IDENTIFIER, "latest_invoice_id"),
        *_may(INSTANT, "billing_cycle_anchor_at", "current_period_start_at", "current_period_end_at"),
        *_OBJECT,
    ),
)
SUBSCRIPTION_ITEMS = Table(
    "subscription_items",
    (
        *_must(IDENTIFIER, "id", "subscription_id"),
        *_TERMS,
        *_TAXED,
        *_may(INTEGER, "quantity"),
        *_may(INSTANT, "current_period_start_at", "current_period_end_at", "created_at"),
        *_OBJECT,
    ),
    owner="subscription_id",
)
_DISCOUNT_OF_SUBSCRIPTION = (
    *_must(IDENTIFIER, "subscription_id"),
    *_may(IDENTIFIER, "subscription_item_id"),
    *_must(INTEGER, "position"),
    *_must(IDENTIFIER, "discount_id"),
    *_DISCOUNT,
)
SUBSCRIPTION_DISCOUNTS = Table(
    "subscription_discounts",
    (*_must(IDENTIFIER, "id"), *_DISCOUNT_OF_SUBSCRIPTION, *_OBJECT),
    owner="subscription_id",
)
SUBSCRIPTION_VERSIONS = Table(
    "subscription_versions",
    (
        *_must(IDENTIFIER, "id", "subscription_id", "state_hash"),
        *_must(INSTANT, "observed_at"),
        *_may(IDENTIFIER, "event_id"),
        *_may(INSTANT, "event_at"),
        *_LIFE,
        *_OBJECT,
    ),
)
SUBSCRIPTION_VERSION_ITEMS = Table(
    "subscription_version_items",
    (
        *_must(IDENTIFIER, "id", "version_id", "subscription_id", "item_id"),
        *_TERMS,
        *_TAXED,
        *_may(INTEGER, "quantity"),
        *_OBJECT,
    ),
    owner="version_id",
)
SUBSCRIPTION_VERSION_DISCOUNTS = Table(
    "subscription_version_discounts",
    (*_must(IDENTIFIER, "id", "version_id"), *_DISCOUNT_OF_SUBSCRIPTION, *_OBJECT),
    owner="version_id",
)
INVOICES = Table(
    "invoices",
    (
        *_must(IDENTIFIER, "id"),
        *_may(IDENTIFIER, "customer_id", "subscription_id"),
        *_must(CODE, "status"),
        *_may(CODE, "billing_reason", "collection_method"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "subtotal", "discount_amount", "tax"),
        *_may(INTEGER, "total_excluding_tax"),
        *_must(INTEGER, "total"),
        *_may(INTEGER, "starting_balance", "ending_balance"),
        *_must(INTEGER, "amount_due", "amount_paid", "amount_remaining"),
        *_may(INTEGER, "amount_overpaid"),
        *_may(INTEGER, "pre_payment_credit_notes_amount", "post_payment_credit_notes_amount"),
        *_must(INSTANT, "created_at"),
        *_may(INSTANT, "effective_at", "due_at"),
        *_may(INSTANT, "finalized_at", "paid_at", "voided_at", "marked_uncollectible_at"),
        *_may(INSTANT, "period_start_at", "period_end_at"),
        *_OBJECT,
    ),
)
INVOICE_LINES = Table(
    "invoice_lines",
    (
        *_must(IDENTIFIER, "id", "invoice_id"),
        *_must(INTEGER, "position"),
        *_must(CODE, "line_type"),
        *_may(IDENTIFIER, "subscription_id", "subscription_item_id", "invoice_item_id"),
        *_may(CHOSEN_IDENTIFIER, "price_id", "product_id"),
        *_may(INTEGER, "quantity"),
        *_may(NUMBER_TEXT, "unit_amount_decimal"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "amount", "discount_amount", "tax", "inclusive_tax", "exclusive_tax"),
        *_must(FLAG, "is_proration"),
        *_may(INSTANT, "period_start_at", "period_end_at"),
        *_OBJECT,
    ),
    owner="invoice_id",
)
INVOICE_PAYMENTS = Table(
    "invoice_payments",
    (
        *_must(IDENTIFIER, "id", "invoice_id"),
        *_must(CODE, "status"),
        *_must(CURRENCY, "currency"),
        *_may(INTEGER, "amount_requested", "amount_paid"),
        *_may(FLAG, "is_default"),
        *_may(CODE, "payment_type"),
        *_may(IDENTIFIER, "payment_intent_id", "charge_id"),
        *_must(INSTANT, "created_at"),
        *_may(INSTANT, "paid_at", "canceled_at"),
        *_OBJECT,
    ),
)
CREDIT_NOTES = Table(
    "credit_notes",
    (
        *_must(IDENTIFIER, "id", "invoice_id"),
        *_may(IDENTIFIER, "customer_id"),
        *_must(CODE, "status"),
        *_may(CODE, "type", "reason"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "amount"),
        *_may(INTEGER, "subtotal", "discount_amount", "tax", "total", "total_excluding_tax"),
        *_may(INTEGER, "pre_payment_amount", "post_payment_amount", "out_of_band_amount"),
        *_may(INTEGER, "refunded_amount", "credited_to_balance_amount"),
        *_may(IDENTIFIER, "customer_balance_transaction_id"),
        *_must(INSTANT, "created_at"),
        *_may(INSTANT, "effective_at", "voided_at"),
        *_OBJECT,
    ),
)
CREDIT_NOTE_REFUNDS = Table(
    "credit_note_refunds",
    (
        *_must(IDENTIFIER, "id", "credit_note_id"),
        *_may(IDENTIFIER, "refund_id"),
        *_may(INTEGER, "amount"),
        *_OBJECT,
    ),
    owner="credit_note_id",
)
REFUNDS = Table(
    "refunds",
    (
        *_must(IDENTIFIER, "id"),
        *_may(CODE, "status"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "amount"),
        *_may(CODE, "reason", "failure_reason"),
        *_may(IDENTIFIER, "charge_id", "payment_intent_id"),
        *_may(IDENTIFIER, "balance_transaction_id", "failure_balance_transaction_id"),
        *_must(INSTANT, "created_at"),
        *_OBJECT,
    ),
)
BALANCE_TRANSACTIONS = Table(
    "balance_transactions",
    (
        *_must(IDENTIFIER, "id"),
        *_must(CODE, "type"),
        *_may(CODE, "reporting_category"),
        *_must(CURRENCY, "currency"),
        *_must(INTEGER, "amount", "fee", "net"),
        *_may(IDENTIFIER, "source_id"),
        *_must(INSTANT, "created_at"),
        *_may(INSTANT, "available_at"),
        *_OBJECT,
    ),
)
EVENTS = Table(
    "events",
    (
        *_must(IDENTIFIER, "id"),
        *_must(CODE, "type"),
        *_may(CODE, "object_type"),
        *_may(CHOSEN_IDENTIFIER, "object_id"),
        *_must(WORDS, "changed_fields"),
        *_must(INSTANT, "created_at"),
        *_OBJECT,
    ),
)
RESOURCES = Table(
    "resources",
    (
        *_must(IDENTIFIER, "resource"),
        *_must(CODE, "state"),
        *_may(WORDS, "detail"),
        *_must(INSTANT, "checked_at"),
        # Below are the facts that the next sync goes on from.
        *_may(INSTANT, "covered_from_at", "covered_through_at", "complete_at", "backfilled_at"),
        *_may(INSTANT, "listing_at"),
        *_may(FLAG, "is_sweep"),
        *_may(INSTANT, "cursor_at", "cursor_seen_at"),
        *_may(FLAG, "is_settled"),
    ),
    key=("resource",),
)
WINDOWS = Table(
    "windows",
    (
        *_must(IDENTIFIER, "id", "resource"),
        *_must(INTEGER, "part"),
        *_must(INSTANT, "listing_at"),
        *_must(INTEGER, "starts_at", "ends_at"),
        *_must(INSTANT, "requested_at"),
    ),
)
DIFFERENCES = Table(
    "differences",
    (
        *_must(IDENTIFIER, "id", "object"),
        *_must(CHOSEN_IDENTIFIER, "object_id"),
        *_must(IDENTIFIER, "field"),
        *_may(WORDS, "had", "found"),
        *_must(INSTANT, "requested_at"),
    ),
)
QUARANTINE = Table(
    "quarantine",
    (
        *_must(CODE, "object"),
        *_must(CHOSEN_IDENTIFIER, "id"),
        *_must(CODE, "field", "reason"),
        *_must(INSTANT, "requested_at"),
    ),
    key=("object", "id", "field"),
)
TABLES = (
    INVOICES,
    INVOICE_LINES,
    INVOICE_PAYMENTS,
    CREDIT_NOTES,
    CREDIT_NOTE_REFUNDS,
    REFUNDS,
    BALANCE_TRANSACTIONS,
    CUSTOMERS,
    SUBSCRIPTIONS,
    SUBSCRIPTION_ITEMS,
    SUBSCRIPTION_DISCOUNTS,
    SUBSCRIPTION_VERSIONS,
    SUBSCRIPTION_VERSION_ITEMS,
    SUBSCRIPTION_VERSION_DISCOUNTS,
    PRODUCTS,
    PRICES,
    PRICE_TIERS,
    PRICE_CURRENCY_OPTIONS,
    COUPONS,
    COUPON_PRODUCTS,
    COUPON_CURRENCY_OPTIONS,
    EVENTS,
    RESOURCES,
    WINDOWS,
    DIFFERENCES,
    QUARANTINE,
)
BY_NAME = {table.name: table for table in TABLES}
