with

coupon_products as (

    select * from {{ source('stripe', 'coupon_products') }}

)

select
    id as coupon_product_id,
    coupon_id,
    product_id,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from coupon_products
