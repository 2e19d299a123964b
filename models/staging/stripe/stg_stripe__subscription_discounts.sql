with

subscription_discounts as (

    select * from {{ source('stripe', 'subscription_discounts') }}

)

select
    id as subscription_discount_id,
    subscription_id,
    subscription_item_id,
    position as discount_position,
    discount_id,
    coupon_id,
    cast(percent_off as {{ exact_type() }}) as percent_off,
    amount_off as amount_off_minor_units,
    currency,
    duration,
    duration_in_months,
    start_at as started_at,
    end_at as ends_at,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from subscription_discounts
