with

customers as (

    select * from {{ source('stripe', 'customers') }}

)

select
    id as customer_id,
    currency,
    delinquent as is_delinquent,
    created_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from customers
