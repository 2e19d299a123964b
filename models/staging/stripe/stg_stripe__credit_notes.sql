with

credit_notes as (

    select * from {{ source('stripe', 'credit_notes') }}

)

select
    id as credit_note_id,
    invoice_id,
    customer_id,
    status,
    type as credit_note_type,
    reason,
    currency,
    amount as amount_minor_units,
    total as total_minor_units,
    tax as tax_minor_units,
    pre_payment_amount as pre_payment_minor_units,
    post_payment_amount as post_payment_minor_units,
    out_of_band_amount as out_of_band_minor_units,
    refunded_amount as refunded_minor_units,
    credited_to_balance_amount as credited_to_balance_minor_units,
    created_at,
    effective_at,
    voided_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from credit_notes
