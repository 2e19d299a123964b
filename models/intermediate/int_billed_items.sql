with

licensed as (

    select * from {{ ref('int_licensed_lines') }}

),

-- Graduated prices have one line a tier. A negative line gives back what another state of the item had cost.
states as (

    select
        subscription_id,
        subscription_item_id,
        invoice_id,
        invoice_status,
        invoiced_at,
        currency,
        price_id,
        is_proration,
        is_given_back,
        period_start_at,
        max(period_end_at) as period_end_at,
        cast(sum(quantity) as int64) as quantity,
        cast(sum(amount_minor_units) as int64) as amount_minor_units,
        cast(sum(discount_minor_units) as int64) as discount_minor_units,
        cast(sum(inclusive_tax_minor_units) as int64) as inclusive_tax_minor_units
    from licensed
    group by
        subscription_id,
        subscription_item_id,
        invoice_id,
        invoice_status,
        invoiced_at,
        currency,
        price_id,
        is_proration,
        is_given_back,
        period_start_at

),

-- Of what was billed for the same instant the regular line says most, then what was added, then what was given back.
ranked as (

    select
        *,
        row_number() over (
            partition by subscription_id, subscription_item_id, period_start_at
            order by
                is_given_back asc,
                is_proration asc,
                invoiced_at desc,
                invoice_id desc,
                amount_minor_units desc,
                price_id asc
        ) as rank_of_state
    from states

),

best as (

    select
        *,
        {{ seconds_between('period_start_at', 'period_end_at') }} as period_seconds,
        cast(round({{ seconds_between('period_start_at', 'period_end_at') }} / 86400.0) as int64) as period_days,
        cast(
            round({{ seconds_between('period_start_at', 'period_end_at') }} / 86400.0 / 30.436875) as int64
        ) as period_months,
        extract(month from period_start_at) as start_month
    from ranked
    where rank_of_state = 1

),

-- A period tells the interval: whole months where its length is that of months, else weeks, else days. Four weeks are a
-- month only where a month has no more days.
intervals as (

    select
        *,
        case
            when
                period_days >= 28
                and abs(period_days - period_months * 30.436875) < 2.6
                and not (period_days = 28 and start_month > 2)
                then 'month'
            when mod(period_days, 7) = 0 and period_days > 0 then 'week'
            else 'day'
        end as cycle_interval
    from best

),

counted as (

    select
        *,
        case cycle_interval
            when 'month' then period_months
            when 'week' then cast(round(period_days / 7.0) as int64)
            else greatest(period_days, 1)
        end as cycle_interval_count
    from intervals

),

-- A proration is for a part of the cycle: the regular line of the same state tells what a whole one costs, and where
-- there is none, the length of the item's last whole cycle.
cycles as (

    select
        *,
        case when is_proration then null else amount_minor_units end as regular_minor_units,
        case when is_proration then null else period_seconds end as regular_seconds,
        case when is_proration then null else cycle_interval end as regular_interval,
        case when is_proration then null else cycle_interval_count end as regular_interval_count
    from counted

),

matched as (

    select
        *,
        {% for column in ['regular_minor_units', 'regular_interval', 'regular_interval_count'] -%}
        coalesce(
            {{ column }},
            first_value({{ column }} ignore nulls) over (
                partition by subscription_id, subscription_item_id, price_id, quantity
                order by period_start_at
                rows between 1 following and unbounded following
            ),
            last_value({{ column }} ignore nulls) over (
                partition by subscription_id, subscription_item_id, price_id, quantity
                order by period_start_at
                rows between unbounded preceding and 1 preceding
            )
        ) as same_{{ column }},
        {% endfor -%}
        {% for column in ['regular_seconds', 'regular_interval', 'regular_interval_count'] -%}
        last_value({{ column }} ignore nulls) over until_now as last_{{ column }},
        {% endfor -%}
        period_days > 0 as is_long
    from cycles
    window until_now as (
        partition by subscription_id, subscription_item_id
        order by period_start_at
        rows between unbounded preceding and current row
    )

)

select
    subscription_id,
    subscription_item_id,
    invoice_id,
    invoice_status,
    invoiced_at,
    currency,
    price_id,
    is_proration,
    is_given_back,
    period_start_at,
    period_end_at,
    quantity,
    amount_minor_units,
    discount_minor_units,
    inclusive_tax_minor_units,
    case
        when same_regular_minor_units is not null then cast(same_regular_minor_units as {{ exact_type() }})
        else
            {{ exact_share(
                'abs(amount_minor_units)', 'coalesce(last_regular_seconds, period_seconds)', 'period_seconds'
            ) }}
    end as cycle_minor_units,
    coalesce(same_regular_interval, last_regular_interval, cycle_interval) as cycle_interval,
    coalesce(same_regular_interval_count, last_regular_interval_count, cycle_interval_count) as cycle_interval_count
from matched
