with

credit_note_refunds as (

    select * from {{ source('stripe', 'credit_note_refunds') }}

)

select
    id as credit_note_refund_id,
    credit_note_id,
    refund_id,
    amount as amount_minor_units,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from credit_note_refunds
