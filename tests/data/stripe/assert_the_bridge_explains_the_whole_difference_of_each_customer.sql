with

bridge as (

    select
        from_policy_key,
        to_policy_key,
        customer_key,
        currency,
        max(from_mrr_amount) as from_mrr,
        max(to_mrr_amount) as to_mrr,
        sum(difference_amount) as difference
    from {{ ref('mrr_policy_bridge') }}
    group by from_policy_key, to_policy_key, customer_key, currency

),

now_counting as (

    select
        policy_key,
        customer_key,
        currency,
        sum(mrr_amount) as mrr
    from {{ ref('mrr_by_subscription') }}
    where valid_to_at is null
    group by policy_key, customer_key, currency

),

compared as (

    select
        bridge.*,
        coalesce(before.mrr, 0) as known_from_mrr,
        coalesce(after.mrr, 0) as known_to_mrr
    from bridge
    left join now_counting as before
        on
            bridge.from_policy_key = before.policy_key
            and bridge.customer_key = before.customer_key
            and bridge.currency = before.currency
    left join now_counting as after
        on
            bridge.to_policy_key = after.policy_key
            and bridge.customer_key = after.customer_key
            and bridge.currency = after.currency

)

select *
from compared
where
    from_mrr + difference != to_mrr
    or from_mrr != known_from_mrr
    or to_mrr != known_to_mrr
