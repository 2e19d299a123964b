with

pieces as (

    select * from {{ ref('int_mrr_pieces') }}
    where monthly_amount > 0

),

policies as (

    select * from {{ ref('mrr_policies') }}

),

counted as (

    select
        policies.policy_key,
        pieces.*
    from pieces
    inner join policies
        on pieces.discounts = policies.discounts
    where
        (pieces.status != 'past_due' or policies.past_due = 'counts')
        and (pieces.status != 'unpaid' or policies.unpaid = 'counts')
        and (not pieces.is_collection_paused or policies.collection_paused = 'counts')
        and (not pieces.is_asked_to_end or policies.churn_at = 'period_end')

),

compared as (

    select
        *,
        coalesce(
            lag(valid_to) over item = valid_from
            and lag(monthly_amount) over item = monthly_amount
            and lag(provenance) over item = provenance
            and lag(currency) over item = currency,
            false
        ) as goes_on
    from counted
    window item as (partition by policy_key, subscription_id, subscription_item_id order by valid_from)

),

numbered as (

    select
        *,
        sum(case when goes_on then 0 else 1 end) over (
            partition by policy_key, subscription_id, subscription_item_id
            order by valid_from
            rows between unbounded preceding and current row
        ) as interval_number
    from compared

),

joined as (

    select
        policy_key,
        customer_key,
        subscription_id,
        subscription_item_id,
        interval_number,
        currency,
        monthly_amount,
        provenance,
        min(valid_from) as valid_from,
        nullif(max(valid_to), {{ end_of_time() }}) as valid_to
    from numbered
    group by
        policy_key,
        customer_key,
        subscription_id,
        subscription_item_id,
        interval_number,
        currency,
        monthly_amount,
        provenance

)

select
    policy_key,
    customer_key,
    subscription_id,
    subscription_item_id,
    currency,
    valid_from,
    valid_to,
    {{ reporting_date('valid_from') }} as first_date,
    {{ reporting_date('valid_to') }} as end_date,
    provenance,
    monthly_amount
from joined
