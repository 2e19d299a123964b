with

daily as (

    select * from {{ ref('daily_mrr') }}

),

stretches as (

    select * from {{ ref('mrr_by_subscription') }}

),

sums as (

    select
        daily.policy_key,
        daily.currency,
        daily.mrr_date,
        daily.mrr_amount,
        daily.paying_customers,
        coalesce(sum(stretches.mrr_amount), 0) as mrr_of_stretches,
        count(distinct stretches.customer_key) as customers
    from daily
    left join stretches
        on
            daily.policy_key = stretches.policy_key
            and daily.currency = stretches.currency
            and daily.mrr_date >= stretches.first_date
            and (stretches.end_date is null or daily.mrr_date < stretches.end_date)
    group by
        daily.policy_key,
        daily.currency,
        daily.mrr_date,
        daily.mrr_amount,
        daily.paying_customers

)

select *
from sums
where
    mrr_amount != mrr_of_stretches
    or paying_customers != customers
