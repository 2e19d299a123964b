with

refunds as (

    select * from {{ source('stripe', 'refunds') }}

)

select
    id as refund_id,
    status,
    amount as amount_minor_units,
    currency,
    reason,
    failure_reason,
    charge_id,
    payment_intent_id,
    balance_transaction_id,
    failure_balance_transaction_id,
    created_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from refunds
