with

invoices as (

    select * from {{ source('stripe', 'invoices') }}

)

select
    id as invoice_id,
    customer_id,
    subscription_id,
    status,
    billing_reason,
    collection_method,
    currency,
    subtotal as subtotal_minor_units,
    discount_amount as discount_minor_units,
    tax as tax_minor_units,
    total_excluding_tax as total_excluding_tax_minor_units,
    total as total_minor_units,
    starting_balance as starting_balance_minor_units,
    amount_due as amount_due_minor_units,
    amount_paid as amount_paid_minor_units,
    amount_remaining as amount_remaining_minor_units,
    amount_overpaid as amount_overpaid_minor_units,
    pre_payment_credit_notes_amount as pre_payment_credit_notes_minor_units,
    post_payment_credit_notes_amount as post_payment_credit_notes_minor_units,
    created_at,
    finalized_at,
    paid_at,
    voided_at,
    marked_uncollectible_at,
    period_start_at,
    period_end_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from invoices
