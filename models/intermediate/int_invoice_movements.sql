with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where
        finalized_at is not null
        and not is_deleted

),

-- Void after uncollectible is no second leaving.
settled as (

    select
        invoice_id,
        currency,
        total_minor_units,
        amount_paid_minor_units,
        amount_due_minor_units,
        finalized_at,
        paid_at,
        least(
            coalesce(voided_at, marked_uncollectible_at),
            coalesce(marked_uncollectible_at, voided_at)
        ) as left_at
    from invoices

),

-- What was paid after an invoice had left had remained when it left.
remainders as (

    select
        *,
        coalesce(paid_at >= left_at, false) as has_come_back,
        case
            when paid_at >= left_at then amount_due_minor_units
            when amount_due_minor_units > amount_paid_minor_units
                then amount_due_minor_units - amount_paid_minor_units
            else 0
        end as left_minor_units
    from settled

),

movements as (

    select
        invoice_id,
        currency,
        'finalized' as movement,
        finalized_at as moved_at,
        total_minor_units as minor_units
    from remainders

    union all

    select
        invoice_id,
        currency,
        'left' as movement,
        left_at as moved_at,
        -left_minor_units as minor_units
    from remainders
    where left_at is not null

    union all

    select
        invoice_id,
        currency,
        'came_back' as movement,
        paid_at as moved_at,
        left_minor_units as minor_units
    from remainders
    where has_come_back

    union all

    select
        invoice_id,
        currency,
        'paid' as movement,
        paid_at as moved_at,
        amount_paid_minor_units as minor_units
    from remainders
    where paid_at is not null

)

select
    invoice_id,
    currency,
    movement,
    moved_at,
    {{ reporting_date('moved_at') }} as movement_date,
    minor_units
from movements
