with

price_currency_options as (

    select * from {{ source('stripe', 'price_currency_options') }}

)

select
    id as price_currency_option_id,
    price_id,
    currency,
    unit_amount as unit_amount_minor_units,
    cast(
        coalesce(unit_amount_decimal, cast(unit_amount as string)) as {{ exact_type() }}
    ) as exact_unit_amount_minor_units,
    tax_behavior,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from price_currency_options
