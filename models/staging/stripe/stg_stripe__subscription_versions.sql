with

subscription_versions as (

    select * from {{ source('stripe', 'subscription_versions') }}

)

select
    id as version_id,
    subscription_id,
    observed_at,
    event_at,
    customer_id,
    status,
    currency,
    created_at,
    start_at as started_at,
    trial_start_at as trial_started_at,
    trial_end_at as trial_ends_at,
    cancel_at,
    cancel_at_period_end as is_cancelled_at_period_end,
    canceled_at as cancelled_at,
    ended_at,
    pause_behavior,
    pause_resumes_at,
    livemode as is_live,
    is_deleted,
    requested_at,
    _dlt_load_id as load_id
from subscription_versions
