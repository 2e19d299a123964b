with

intervals as (

    select * from {{ ref('int_mrr_intervals') }}
    where
        policy_key = 'stripe'
        and valid_to is null

),

versions as (

    select * from {{ ref('int_subscription_versions') }}
    where is_newest

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

counting as (

    select
        subscription_id,
        customer_key,
        currency,
        sum(monthly_amount) as mrr_amount
    from intervals
    group by subscription_id, customer_key, currency

),

reasons as (

    select
        versions.subscription_id,
        'scheduled_churn' as reason,
        case
            when versions.is_cancelled_at_period_end
                then coalesce(subscriptions.current_period_end_at, versions.cancel_at)
            else versions.cancel_at
        end as leaves_at
    from versions
    left join subscriptions
        on versions.subscription_id = subscriptions.subscription_id
    where
        versions.is_cancelled_at_period_end
        or versions.cancel_at is not null

    union all

    select
        subscription_id,
        'past_due' as reason,
        cast(null as {{ timestamp_type() }}) as leaves_at
    from versions
    where status = 'past_due'

    union all

    select
        subscription_id,
        'collection_paused' as reason,
        cast(null as {{ timestamp_type() }}) as leaves_at
    from versions
    where pause_behavior is not null

)

select
    counting.subscription_id,
    counting.customer_key,
    counting.currency,
    reasons.reason,
    reasons.leaves_at,
    {{ reporting_date('reasons.leaves_at') }} as leaves_date,
    cast(counting.mrr_amount as {{ exact_type() }}) as mrr_amount,
    {{ built_at() }} as created_at
from counting
inner join reasons
    on counting.subscription_id = reasons.subscription_id
