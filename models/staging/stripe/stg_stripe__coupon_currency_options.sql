with

coupon_currency_options as (

    select * from {{ source('stripe', 'coupon_currency_options') }}

)

select
    id as coupon_currency_option_id,
    coupon_id,
    currency,
    amount_off as amount_off_minor_units,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from coupon_currency_options
