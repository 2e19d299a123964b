with

customers as (

    select * from {{ source('stripe', 'customers') }}

)

select
    id as customer_id,
    currency,
    delinquent as is_delinquent,
    discount_id,
    discount_coupon_id,
    discount_start_at as discount_started_at,
    discount_end_at as discount_ends_at,
    cast(discount_percent_off as {{ exact_type() }}) as discount_percent_off,
    discount_amount_off as discount_amount_off_minor_units,
    discount_currency,
    discount_duration,
    created_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from customers
