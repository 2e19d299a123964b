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

daily as (

    select * from {{ ref('daily_invoices') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

payments as (

    select
        invoice_id,
        sum(coalesce(amount_paid_minor_units, 0)) as minor_units
    from invoice_payments
    group by invoice_id

),

staged as (

    select
        invoices.currency,
        count(*) as invoices_finalized,
        count(invoices.paid_at) as invoices_paid,
        sum(greatest(invoices.amount_paid_minor_units, coalesce(payments.minor_units, 0))) as paid_minor_units
    from invoices
    left join payments
        on invoices.invoice_id = payments.invoice_id
    group by invoices.currency

),

refunded as (

    select
        currency,
        sum(case when status in ('failed', 'canceled') then 0 else amount_minor_units end) as minor_units
    from refunds
    group by currency

),

credited as (

    select
        currency,
        sum(
            coalesce(pre_payment_minor_units, 0)
            + coalesce(credited_to_balance_minor_units, 0)
            + coalesce(out_of_band_minor_units, 0)
        ) as minor_units
    from credit_notes
    where voided_at is null
    group by currency

),

marts as (

    select
        currency,
        sum(invoices_finalized) as invoices_finalized,
        sum(invoices_paid) as invoices_paid,
        sum(paid_amount) as paid_amount,
        sum(refunded_amount) as refunded_amount,
        sum(credited_amount) as credited_amount,
        max(case when refunds_state = 'missing' then 1 else 0 end) = 1 as lacks_refunds,
        max(case when credits_state = 'missing' then 1 else 0 end) = 1 as lacks_credits
    from daily
    group by currency

),

compared as (

    select
        staged.*,
        coalesce(refunded.minor_units, 0) as refunded_minor_units,
        coalesce(credited.minor_units, 0) as credited_minor_units,
        marts.currency as mart_currency,
        marts.invoices_finalized as mart_finalized,
        marts.invoices_paid as mart_paid,
        marts.paid_amount,
        marts.refunded_amount,
        marts.credited_amount,
        marts.lacks_refunds,
        marts.lacks_credits,
        case currencies.exponent
            when 0 then 1
            when 2 then 100
            when 3 then 1000
        end as minor_units_a_unit
    from staged
    left join marts
        on staged.currency = marts.currency
    left join currencies
        on staged.currency = currencies.currency
    left join refunded
        on staged.currency = refunded.currency
    left join credited
        on staged.currency = credited.currency

)

select *
from compared
where
    mart_currency is null
    or invoices_finalized != mart_finalized
    or invoices_paid != mart_paid
    or paid_minor_units != paid_amount * minor_units_a_unit
    or (not lacks_refunds and refunded_minor_units != refunded_amount * minor_units_a_unit)
    or (not lacks_credits and credited_minor_units != credited_amount * minor_units_a_unit)
