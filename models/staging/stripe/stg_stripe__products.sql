with

products as (

    select * from {{ source('stripe', 'products') }}

)

select
    id as product_id,
    active as is_active,
    created_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from products
