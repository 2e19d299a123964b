with

coupons as (

    select * from {{ source('stripe', 'coupons') }}

)

select
    id as coupon_id,
    duration,
    duration_in_months,
    cast(percent_off as {{ exact_type() }}) as percent_off,
    amount_off as amount_off_minor_units,
    currency,
    valid as is_valid,
    has_product_limits,
    created_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from coupons
