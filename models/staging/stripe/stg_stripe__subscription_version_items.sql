with

subscription_version_items as (

    select * from {{ source('stripe', 'subscription_version_items') }}

)

select
    id as version_item_id,
    version_id,
    subscription_id,
    item_id as subscription_item_id,
    price_id,
    product_id,
    currency,
    price_type,
    billing_scheme,
    tiers_mode,
    unit_amount as unit_amount_minor_units,
    cast(
        coalesce(unit_amount_decimal, cast(unit_amount as string)) as {{ exact_type() }}
    ) as exact_unit_amount_minor_units,
    transform_divide_by,
    transform_round,
    quantity,
    subscription_version_items.interval as billing_interval,
    interval_count as billing_interval_count,
    usage_type,
    cast(inclusive_tax_percentage as {{ exact_type() }}) as inclusive_tax_percentage,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from subscription_version_items
