{%- set movements = mrr_movements() | join('_amount + ') ~ '_amount' %}

with

daily as (

    select
        policy_key,
        currency,
        {{ period_start('month', 'mrr_date') }} as month_start_date,
        sum({{ movements }}) as net_amount,
        max(mrr_date) as last_date
    from {{ ref('daily_mrr') }}
    group by policy_key, currency, {{ period_start('month', 'mrr_date') }}

),

monthly as (

    select
        policy_key,
        currency,
        month_start_date,
        {{ movements }} as net_amount,
        last_date
    from {{ ref('monthly_mrr') }}

)

select
    daily.policy_key,
    daily.currency,
    daily.month_start_date,
    daily.net_amount,
    monthly.net_amount as monthly_amount
from daily
left join monthly
    on
        daily.policy_key = monthly.policy_key
        and daily.currency = monthly.currency
        and daily.month_start_date = monthly.month_start_date
where
    monthly.month_start_date is null
    or daily.net_amount != monthly.net_amount
    or daily.last_date != monthly.last_date
