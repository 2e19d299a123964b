with

balance_transactions as (

    select * from {{ source('stripe', 'balance_transactions') }}

)

select
    id as balance_transaction_id,
    type as transaction_type,
    reporting_category,
    amount as amount_minor_units,
    fee as fee_minor_units,
    net as net_minor_units,
    currency,
    source_id,
    created_at,
    available_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from balance_transactions
