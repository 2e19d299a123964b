with

price_tiers as (

    select * from {{ source('stripe', 'price_tiers') }}

)

select
    id as price_tier_id,
    price_id,
    currency,
    position as tier_position,
    up_to as up_to_quantity,
    cast(coalesce(unit_amount_decimal, cast(unit_amount as string)) as {{ exact_type() }}) as unit_minor_units,
    cast(coalesce(flat_amount_decimal, cast(flat_amount as string)) as {{ exact_type() }}) as flat_minor_units,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from price_tiers
