with

changes as (

    select
        policy_key,
        customer_key,
        currency,
        change_date,
        movement,
        mrr_before,
        mrr_after,
        lag(mrr_after) over (partition by policy_key, customer_key, currency order by change_date) as last_mrr
    from {{ ref('int_customer_mrr_changes') }}

)

select *
from changes
where
    mrr_before != coalesce(last_mrr, 0)
    or mrr_after < 0
    or (movement = 'new' and last_mrr is not null)
    or (movement = 'reactivated' and (last_mrr is null or mrr_before != 0))
    or (movement = 'none') != (mrr_after = mrr_before)
