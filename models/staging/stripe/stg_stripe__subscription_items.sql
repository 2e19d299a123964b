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
    unit_amount_decimal,
    quantity,
    interval as billing_interval,
    interval_count as billing_interval_count,
    usage_type,
    current_period_start_at,
    current_period_end_at,
    created_at,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from subscription_items
