with

subscription_items as (

    select * from {{ source('stripe', 'subscription_items') }}

)

select
    id as subscription_item_id,
    subscription_id,
    price_id,
    product_id,
    currency,
    unit_amount as unit_amount_minor_units,
    cast(
        coalesce(unit_amount_decimal, cast(unit_amount as string)) as {{ exact_type() }}
    ) as exact_unit_amount_minor_units,
    quantity,
    subscription_items.interval as billing_interval,
    interval_count as billing_interval_count,
    price_type,
    billing_scheme,
    tiers_mode,
    transform_divide_by,
    transform_round,
    cast(inclusive_tax_percentage as {{ exact_type() }}) as inclusive_tax_percentage,
    usage_type,
    current_period_start_at,
    current_period_end_at,
    created_at,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from subscription_items
