{%- set numeric = 'numeric' if target.type == 'bigquery' else 'decimal(38, 9)' %}
{#- Each amount by the movements it sums and the day up to which their list was read. -#}
{%- set amounts = {
    'invoiced': (['finalized', 'left', 'came_back'], none),
    'paid': (['paid'], none),
    'refunded': (['refunded', 'refund_failed'], 'refunds_date'),
    'credited_to_invoice': (['credited_to_invoice', 'credited_to_invoice_voided'], 'credit_notes_date'),
    'credited_to_balance': (['credited_to_balance', 'credited_to_balance_voided'], 'credit_notes_date'),
    'credited_out_of_band': (['credited_out_of_band', 'credited_out_of_band_voided'], 'credit_notes_date'),
} %}

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

    select
        'invoices' as resource,
        requested_at as synced_at
    from invoices

    union all

    select
        resource,
        coalesce(covered_through_at, checked_at) as synced_at
    from resources
    where state != 'unavailable'

),

last_sync as (

    select
        max(case when resource = 'invoices' then {{ reporting_date('synced_at') }} end) as last_date,
        max(case when resource = 'refunds' then {{ reporting_date('synced_at') }} end) as refunds_date,
        max(case when resource = 'credit_notes' then {{ reporting_date('synced_at') }} end) as credit_notes_date
    from synced

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
        {% for name, (movements, last_date) in amounts.items() -%}
        cast(
            sum(
                case
                    when
                        movement in (
                            '{{ movements | join("', '") }}'
                        )
                        then minor_units
                    else 0
                end
            ) as int64
        ) as {{ name }}_minor_units,
        {% endfor -%}
        sum(case when movement = 'finalized' then 1 else 0 end) as invoices_finalized,
        sum(case when movement = 'left' then 1 else 0 end) as invoices_left,
        sum(case when movement = 'settled' then 1 else 0 end) as invoices_paid
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

),

-- A day without anything is 0 where the list was read, and not known where it was not.
filled as (

    select
        spine.invoice_date,
        spine.currency,
        coalesce(days.invoices_finalized, 0) as invoices_finalized,
        coalesce(days.invoices_left, 0) as invoices_left,
        coalesce(days.invoices_paid, 0) as invoices_paid,
        {% for name, (movements, last_date) in amounts.items() -%}
        cast(
            case
                when {{ 'spine.invoice_date <= last_sync.' ~ last_date if last_date else 'true' }}
                    then coalesce(days.{{ name }}_minor_units, 0) * units.minor_unit
            end as {{ numeric }}
        ) as {{ name }}_amount,
        {% endfor -%}
        case when spine.invoice_date <= last_sync.refunds_date then 'ok' else 'missing' end as refunds_state,
        case when spine.invoice_date <= last_sync.credit_notes_date then 'ok' else 'missing' end as credits_state
    from spine
    cross join last_sync
    left join days
        on
            spine.currency = days.currency
            and spine.invoice_date = days.movement_date
    left join units
        on spine.currency = units.currency

)

select
    invoice_date,
    currency,
    cast(invoices_finalized as int64) as invoices_finalized,
    cast(invoices_left as int64) as invoices_left,
    cast(invoices_paid as int64) as invoices_paid,
    invoiced_amount,
    paid_amount,
    refunded_amount,
    cast(
        credited_to_invoice_amount + credited_to_balance_amount + credited_out_of_band_amount as {{ numeric }}
    ) as credited_amount,
    credited_to_invoice_amount,
    credited_to_balance_amount,
    credited_out_of_band_amount,
    cast(paid_amount - refunded_amount as {{ numeric }}) as net_amount,
    refunds_state,
    credits_state,
    {{ built_at() }} as created_at
from filled
