with

prices as (

    select * from {{ source('stripe', 'prices') }}

)

select
    id as price_id,
    product_id,
    active as is_active,
    currency,
    price_type,
    billing_scheme,
    tiers_mode,
    unit_amount as unit_amount_minor_units,
    cast(
        coalesce(unit_amount_decimal, cast(unit_amount as string)) as {{ exact_type() }}
    ) as exact_unit_amount_minor_units,
    prices.interval as billing_interval,
    interval_count as billing_interval_count,
    usage_type,
    transform_divide_by,
    transform_round,
    tax_behavior,
    created_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from prices
