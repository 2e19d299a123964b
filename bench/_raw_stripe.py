"""Raw tables of a Stripe account with many subscriptions, made in columns by DuckDB; the same for the same number."""

from pathlib import Path

import duckdb

from pipelines.sources.stripe.tables import TABLES

INVOICES_EACH = 10
SYNCED_AT = "timestamptz '2026-11-21 18:00:00+00'"
_COMMON = f"true as livemode, false as is_deleted, {SYNCED_AT} as requested_at"

# A number below `most` that is as good as chance, for each subscription and purpose.
_CHANCE = "create or replace macro chance(number, purpose, most) as (hash(number, purpose) % most)::int"

# What each subscription is: one in ten has ended, one in forty is unpaid, one in five has a discount or a second item.
_LIVES = """
create or replace temp table lives as
select
    number,
    'sub_' || number as id,
    'cus_' || number * 9 // 10 as customer_id,
    ['usd', 'eur', 'jpy'][1 + chance(number, 'currency', 3)] as currency,
    case chance(number, 'interval', 10) when 0 then 'year' when 1 then 'week' else 'month' end as "interval",
    chance(number, 'unit', 200) * 100 + 500 as unit_amount,
    1 + chance(number, 'quantity', 4) as quantity,
    case
        when chance(number, 'fate', 40) = 0 then 'unpaid'
        when chance(number, 'fate', 40) < 5 then 'canceled'
        when chance(number, 'fate', 40) = 5 then 'past_due'
        else 'active'
    end as status,
    case chance(number, 'discount', 10) when 0 then 'percent' when 1 then 'amount' end as discount,
    chance(number, 'items', 5) = 0 as has_two_items,
    chance(number, 'change', 10) = 0 as was_upgraded,
    (timestamp '2025-12-20 00:00:00' - to_days(chance(number, 'age', 360)) + to_minutes(chance(number, 'minute', 1440)))
        at time zone 'UTC' as created_at
from range({subscriptions}) as numbers (number)
"""

_ITEMS = """
create or replace temp table items as
select
    lives.*,
    'si_' || number || '_' || place as item_id,
    'price_' || currency || '_' || "interval" || '_' || unit_amount as price_id,
    case "interval"
        when 'year' then interval 1 year
        when 'week' then interval 7 days
        else interval 1 month
    end as cycle
from lives, range(2) as places (place)
where place = 0 or has_two_items
"""

# The newest invoices of those that go on are of this month; cycles are counted back from there.
_CYCLES = """
create or replace temp table cycles as
select
    items.*,
    cycle_number,
    'in_' || number || '_' || cycle_number as invoice_id,
    created_at + cycle_number * cycle as starts_at,
    created_at + (cycle_number + 1) * cycle as ends_at
from items, range({invoices}) as numbers (cycle_number)
where created_at + cycle_number * cycle <= {synced_at}
"""

_ROWS = {
    "customers": "select distinct customer_id as id, min(created_at) as created_at from lives group by 1",
    "products": "select distinct 'prod_' || currency as id, timestamptz '2020-01-01' as created_at from lives",
    "prices": """
        select distinct
            price_id as id, 'prod_' || currency as product_id, currency, 'recurring' as price_type,
            'per_unit' as billing_scheme, unit_amount, unit_amount::varchar as unit_amount_decimal, "interval",
            1 as interval_count, 'licensed' as usage_type, timestamptz '2020-01-01' as created_at
        from items
    """,
    "coupons": """
        select * from (values
            ('tenth', 'forever', '10', null, null), ('usd', 'repeating', null, 300, 'usd'),
            ('eur', 'repeating', null, 300, 'eur'), ('jpy', 'repeating', null, 300, 'jpy')
        ) as coupons (id, duration, percent_off, amount_off, currency), (select timestamptz '2020-01-01' as created_at)
    """,
    "subscriptions": """
        select
            id, customer_id, status, currency, created_at, created_at as start_at, false as cancel_at_period_end,
            case when status = 'canceled' then timestamptz '2026-08-10' end as ended_at,
            case when status = 'canceled' then timestamptz '2026-08-10' end as canceled_at,
            'charge_automatically' as collection_method
        from lives
    """,
    "subscription_items": """
        select
            item_id as id, id as subscription_id, price_id, 'prod_' || currency as product_id, currency,
            'recurring' as price_type, unit_amount, "interval", 1 as interval_count, 'licensed' as usage_type,
            quantity, created_at
        from items
    """,
    "subscription_versions": """
        select
            id || '@1' as id, id as subscription_id, id as state_hash, {synced_at} as observed_at, customer_id, status,
            currency, created_at, created_at as start_at, false as cancel_at_period_end,
            case when status = 'canceled' then timestamptz '2026-08-10' end as ended_at,
            case when status = 'canceled' then timestamptz '2026-08-10' end as canceled_at
        from lives
    """,
    "subscription_version_items": """
        select
            id || '@1/' || item_id as id, id || '@1' as version_id, id as subscription_id, item_id, price_id,
            'prod_' || currency as product_id, currency, unit_amount, "interval", 1 as interval_count,
            'licensed' as usage_type, quantity
        from items
    """,
    "subscription_version_discounts": """
        select
            id || '@1/0' as id, id || '@1' as version_id, id as subscription_id, 0 as position, 'di_' || id as discount_id,
            case discount when 'percent' then 'tenth' else currency end as coupon_id, created_at as start_at,
            case discount when 'amount' then created_at + interval 6 months end as end_at
        from lives
        where discount is not null
    """,
    "invoices": """
        select
            invoice_id as id, any_value(customer_id) as customer_id, any_value(id) as subscription_id,
            case when any_value(status) = 'unpaid' and any_value(cycle_number) > 4 then 'open' else 'paid' end as status,
            case when any_value(cycle_number) = 0 then 'subscription_create' else 'subscription_cycle' end as billing_reason,
            'charge_automatically' as collection_method, any_value(currency) as currency,
            sum(unit_amount * quantity)::bigint as subtotal, 0 as discount_amount, 0 as tax,
            sum(unit_amount * quantity)::bigint as total, sum(unit_amount * quantity)::bigint as amount_due,
            case when any_value(status) = 'unpaid' and any_value(cycle_number) > 4 then 0
                else sum(unit_amount * quantity) end::bigint as amount_paid,
            case when any_value(status) = 'unpaid' and any_value(cycle_number) > 4 then sum(unit_amount * quantity)
                else 0 end::bigint as amount_remaining,
            min(starts_at) as created_at, min(starts_at) as finalized_at,
            case when any_value(status) != 'unpaid' or any_value(cycle_number) <= 4 then min(starts_at) end as paid_at
        from cycles
        group by invoice_id
    """,
    "invoice_lines": """
        with lines as (
            select cycles.*, 'regular' as kind, case when was_upgraded and cycle_number < 3 then 1 else quantity end as many
            from cycles
            union all
            select cycles.*, 'proration' as kind, side as many
            from cycles, (values (1), (-1)) as sides (side)
            where was_upgraded and cycle_number = 3
        )
        select
            'il_' || item_id || '_' || cycle_number || '_' || kind || many as id, invoice_id, 0 as position,
            'subscription_item' as line_type, id as subscription_id, item_id as subscription_item_id, price_id,
            case kind when 'regular' then many else quantity end as quantity, currency,
            unit_amount * many as amount, 0 as discount_amount, 0 as tax, 0 as inclusive_tax, 0 as exclusive_tax,
            kind = 'proration' as is_proration,
            case kind when 'regular' then starts_at else starts_at - interval 1 day end as period_start_at,
            case kind when 'regular' then ends_at else starts_at end as period_end_at
        from lines
    """,
    "invoice_payments": """
        select
            'inpay_' || id as id, id as invoice_id, 'paid' as status, currency, amount_paid, created_at, paid_at
        from raw_stripe.invoices
        where status = 'paid'
    """,
    "resources": """
        select resource, 'available' as state, {synced_at} as checked_at, {synced_at} as covered_through_at
        from unnest(['invoices', 'subscriptions', 'invoice_payments', 'refunds', 'credit_notes', 'customers', 'prices'])
            as names (resource)
    """,
}


def write_account(path: Path, subscriptions: int) -> dict[str, int]:
    """Write the raw tables of Stripe into a warehouse; gives the rows of the larger ones."""
    with duckdb.connect(str(path), config={"memory_limit": "2GB"}) as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(_CHANCE)
        sizes = {"subscriptions": subscriptions, "invoices": INVOICES_EACH, "synced_at": SYNCED_AT}
        for statement in (_LIVES, _ITEMS, _CYCLES):
            connection.execute(statement.format(**sizes))
        connection.execute("create schema raw_stripe")
        for table in TABLES:
            empty = table.arrow([])  # noqa: F841 - DuckDB finds it by its name
            connection.execute(
                f"create table raw_stripe.{table.name} as select *, 'load' as _dlt_load_id from empty"
            )
        for name, rows in _ROWS.items():
            common = "" if name == "resources" else f", {_COMMON}"
            connection.execute(
                f"insert into raw_stripe.{name} by name "
                f"select *{common}, 'load' as _dlt_load_id from ({rows.format(**sizes)})"
            )
        return {
            name: connection.execute(f"select count(*) from raw_stripe.{name}").fetchall()[0][0]
            for name in ("subscriptions", "invoices", "invoice_lines")
        }
