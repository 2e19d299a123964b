with

daily as (

    select
        policy_key,
        currency,
        mrr_date,
        mrr_amount,
        new_amount + expansion_amount + contraction_amount + churned_amount + reactivated_amount as movements,
        lag(mrr_amount) over (partition by policy_key, currency order by mrr_date) as mrr_before,
        lag(mrr_date) over (partition by policy_key, currency order by mrr_date) as date_before
    from {{ ref('daily_mrr') }}

)

select *
from daily
where
    mrr_amount != coalesce(mrr_before, 0) + movements
    or {{ date_plus('date_before', 1, 'day') }} != mrr_date
