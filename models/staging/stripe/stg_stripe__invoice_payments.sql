with

invoice_payments as (

    select * from {{ source('stripe', 'invoice_payments') }}

)

select
    id as invoice_payment_id,
    invoice_id,
    status,
    amount_paid as amount_paid_minor_units,
    amount_requested as amount_requested_minor_units,
    currency,
    is_default,
    payment_type,
    payment_intent_id,
    charge_id,
    created_at,
    paid_at,
    canceled_at as cancelled_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from invoice_payments
