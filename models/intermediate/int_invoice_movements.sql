with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where
        finalized_at is not null
        and not is_deleted

),

invoice_payments as (

    select * from {{ ref('stg_stripe__invoice_payments') }}
    where
        status = 'paid'
        and not is_deleted

),

refunds as (

    select * from {{ ref('stg_stripe__refunds') }}
    where not is_deleted

),

credit_notes as (

    select * from {{ ref('stg_stripe__credit_notes') }}
    where not is_deleted

),

balance_transactions as (

    select * from {{ ref('stg_stripe__balance_transactions') }}

),

events as (

    select * from {{ ref('stg_stripe__events') }}

),

-- Void after uncollectible is no second leaving.
settled as (

    select
        *,
        least(
            coalesce(voided_at, marked_uncollectible_at),
            coalesce(marked_uncollectible_at, voided_at)
        ) as left_at
    from invoices

),

known_payments as (

    select
        invoice_payments.invoice_payment_id as object_id,
        settled.invoice_id,
        settled.currency,
        coalesce(invoice_payments.paid_at, settled.paid_at, invoice_payments.created_at) as moved_at,
        coalesce(invoice_payments.amount_paid_minor_units, 0) as minor_units
    from settled
    inner join invoice_payments
        on settled.invoice_id = invoice_payments.invoice_id

),

known_sums as (

    select
        invoice_id,
        sum(minor_units) as minor_units
    from known_payments
    group by invoice_id

),

-- What was paid although no payment tells of it: outside Stripe, or where the key may not read payments.
other_payments as (

    select
        settled.invoice_id as object_id,
        settled.invoice_id,
        settled.currency,
        coalesce(settled.paid_at, settled.left_at, settled.requested_at) as moved_at,
        settled.amount_paid_minor_units - coalesce(known_sums.minor_units, 0) as minor_units
    from settled
    left join known_sums
        on settled.invoice_id = known_sums.invoice_id
    where settled.amount_paid_minor_units > coalesce(known_sums.minor_units, 0)

),

payments as (

    select * from known_payments

    union all

    select * from other_payments

),

payments_of_invoices as (

    select
        settled.invoice_id,
        sum(case when payments.moved_at < settled.left_at then payments.minor_units else 0 end) as before_minor_units
    from settled
    left join payments
        on settled.invoice_id = payments.invoice_id
    group by settled.invoice_id

),

-- What credit notes took off before payment, where the amount due does not show it.
leavings as (

    select
        settled.invoice_id,
        settled.currency,
        settled.left_at,
        greatest(
            settled.amount_due_minor_units
            - payments_of_invoices.before_minor_units
            - least(
                greatest(
                    settled.amount_due_minor_units
                    - settled.amount_paid_minor_units
                    - coalesce(settled.amount_remaining_minor_units, settled.amount_due_minor_units),
                    0
                ),
                coalesce(settled.pre_payment_credit_notes_minor_units, 0)
            ),
            0
        ) as left_minor_units
    from settled
    inner join payments_of_invoices
        on settled.invoice_id = payments_of_invoices.invoice_id
    where settled.left_at is not null

),

-- What is paid after an invoice has left had remained when it left; an overpayment had not.
returns as (

    select
        payments.object_id,
        leavings.invoice_id,
        leavings.currency,
        payments.moved_at,
        leavings.left_minor_units,
        payments.minor_units,
        sum(payments.minor_units) over (
            partition by leavings.invoice_id order by payments.moved_at, payments.object_id
        ) as returned_minor_units
    from leavings
    inner join payments
        on
            leavings.invoice_id = payments.invoice_id
            and leavings.left_at <= payments.moved_at

),

failures as (

    select
        object_id,
        min(created_at) as failed_at
    from events
    where event_type in ('refund.failed', 'charge.refund.updated', 'refund.updated')
    group by object_id

),

-- Stripe keeps no instant of the failure in the refund itself.
failed_refunds as (

    select
        refunds.refund_id as object_id,
        refunds.currency,
        coalesce(
            balance_transactions.created_at, failures.failed_at, refunds.requested_at
        ) as moved_at,
        -refunds.amount_minor_units as minor_units
    from refunds
    left join balance_transactions
        on refunds.failure_balance_transaction_id = balance_transactions.balance_transaction_id
    left join failures
        on refunds.refund_id = failures.object_id
    where refunds.status in ('failed', 'canceled')

),

-- What a credit note refunds is in the refunds.
credits as (

    select
        credit_note_id as object_id,
        invoice_id,
        currency,
        'credited_to_invoice' as movement,
        created_at,
        voided_at,
        coalesce(pre_payment_minor_units, 0) as minor_units
    from credit_notes

    union all

    select
        credit_note_id as object_id,
        invoice_id,
        currency,
        'credited_to_balance' as movement,
        created_at,
        voided_at,
        coalesce(credited_to_balance_minor_units, 0) as minor_units
    from credit_notes

    union all

    select
        credit_note_id as object_id,
        invoice_id,
        currency,
        'credited_out_of_band' as movement,
        created_at,
        voided_at,
        coalesce(out_of_band_minor_units, 0) as minor_units
    from credit_notes

),

movements as (

    select
        invoice_id as object_id,
        invoice_id,
        currency,
        'finalized' as movement,
        finalized_at as moved_at,
        total_minor_units as minor_units
    from settled

    union all

    select
        invoice_id as object_id,
        invoice_id,
        currency,
        'left' as movement,
        left_at as moved_at,
        -left_minor_units as minor_units
    from leavings

    union all

    select
        object_id,
        invoice_id,
        currency,
        'came_back' as movement,
        moved_at,
        least(minor_units, left_minor_units - (returned_minor_units - minor_units)) as minor_units
    from returns
    where returned_minor_units - minor_units < left_minor_units

    union all

    select
        object_id,
        invoice_id,
        currency,
        'paid' as movement,
        moved_at,
        minor_units
    from payments

    union all

    -- Whether anything was to be paid or not.
    select
        invoice_id as object_id,
        invoice_id,
        currency,
        'settled' as movement,
        paid_at as moved_at,
        0 as minor_units
    from settled
    where paid_at is not null

    union all

    select
        refund_id as object_id,
        cast(null as string) as invoice_id,
        currency,
        'refunded' as movement,
        created_at as moved_at,
        amount_minor_units as minor_units
    from refunds

    union all

    select
        object_id,
        cast(null as string) as invoice_id,
        currency,
        'refund_failed' as movement,
        moved_at,
        minor_units
    from failed_refunds

    union all

    select
        object_id,
        invoice_id,
        currency,
        movement,
        created_at as moved_at,
        minor_units
    from credits
    where minor_units != 0

    union all

    select
        object_id,
        invoice_id,
        currency,
        concat(movement, '_voided') as movement,
        voided_at as moved_at,
        -minor_units as minor_units
    from credits
    where
        minor_units != 0
        and voided_at is not null

)

select
    object_id,
    invoice_id,
    currency,
    movement,
    moved_at,
    {{ reporting_date('moved_at') }} as movement_date,
    cast(minor_units as int64) as minor_units
from movements
