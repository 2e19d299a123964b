with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where not is_deleted

),

daily as (

    select * from {{ ref('daily_invoices') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

staged as (

    select
        currency,
        count(finalized_at) as invoices_finalized,
        count(paid_at) as invoices_paid,
        sum(case when paid_at is not null then amount_paid_minor_units else 0 end) as paid_minor_units
    from invoices
    where finalized_at is not null
    group by currency

),

marts as (

    select
        currency,
        sum(invoices_finalized) as invoices_finalized,
        sum(invoices_paid) as invoices_paid,
        sum(paid_amount) as paid_amount
    from daily
    group by currency

)

select
    staged.currency,
    staged.invoices_finalized,
    marts.invoices_finalized as mart_finalized,
    staged.paid_minor_units,
    marts.paid_amount
from staged
left join marts
    on staged.currency = marts.currency
left join currencies
    on staged.currency = currencies.currency
where
    marts.currency is null
    or staged.invoices_finalized != marts.invoices_finalized
    or staged.invoices_paid != marts.invoices_paid
    or (
        currencies.exponent is not null
        and staged.paid_minor_units != round(
            marts.paid_amount
            * case currencies.exponent
                when 0 then 1
                when 2 then 100
                else 1000
            end
        )
    )
