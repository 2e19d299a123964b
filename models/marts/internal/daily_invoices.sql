{%- set numeric = 'numeric' if target.type == 'bigquery' else 'decimal(38, 9)' %}

with

movements as (

    select * from {{ ref('int_invoice_movements') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

resources as (

    select * from {{ ref('stg_stripe__resources') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

-- An empty list was synced too: its day is known although no invoice carries it.
synced as (

    select requested_at as synced_at from invoices

    union all

    select checked_at as synced_at
    from resources
    where
        resource = 'invoices'
        and state = 'available'

),

last_sync as (

    select max({{ reporting_date('synced_at') }}) as last_date from synced

),

ranges as (

    select
        movements.currency,
        min(movements.movement_date) as first_date,
        greatest(max(movements.movement_date), max(last_sync.last_date)) as last_date
    from movements
    cross join last_sync
    group by movements.currency

),

spine as (

    select
        ranges.currency,
        cast(spine_day as date) as invoice_date
    from ranges
    cross join {{ unnested_days('ranges.first_date', 'ranges.last_date', 'spine_day') }}

),

days as (

    select
        currency,
        movement_date,
        sum(case when movement = 'finalized' then 1 else 0 end) as invoices_finalized,
        sum(case when movement = 'left' then 1 else 0 end) as invoices_left,
        sum(case when movement = 'paid' then 1 else 0 end) as invoices_paid,
        cast(
            sum(case when movement != 'paid' then minor_units else 0 end) as int64
        ) as invoiced_minor_units,
        cast(
            sum(case when movement = 'paid' then minor_units else 0 end) as int64
        ) as paid_minor_units
    from movements
    group by currency, movement_date

),

-- Powers of ten would be inexact numbers.
units as (

    select
        currency,
        case exponent
            when 0 then cast('1' as {{ numeric }})
            when 2 then cast('0.01' as {{ numeric }})
            when 3 then cast('0.001' as {{ numeric }})
        end as minor_unit
    from currencies

)

select
    spine.invoice_date,
    spine.currency,
    cast(coalesce(days.invoices_finalized, 0) as int64) as invoices_finalized,
    cast(coalesce(days.invoices_left, 0) as int64) as invoices_left,
    cast(coalesce(days.invoices_paid, 0) as int64) as invoices_paid,
    cast(coalesce(days.invoiced_minor_units, 0) * units.minor_unit as {{ numeric }}) as invoiced_amount,
    cast(coalesce(days.paid_minor_units, 0) * units.minor_unit as {{ numeric }}) as paid_amount,
    cast(null as {{ numeric }}) as refunded_amount,
    cast(null as {{ numeric }}) as credited_amount,
    cast(null as {{ numeric }}) as net_amount,
    -- Refunds and credit notes are not read: what they are is not known, which is not 0.
    'missing' as refunds_state,
    {{ built_at() }} as created_at
from spine
left join days
    on
        spine.currency = days.currency
        and spine.invoice_date = days.movement_date
left join units
    on spine.currency = units.currency
