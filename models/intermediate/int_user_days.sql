{{ config(**replaces_days(follows='int_load_days')) }}
{%- set days = stale_days() %}

with

load_days as (

    select * from {{ ref('int_load_days') }}
    where {{ is_one_of('event_date', days) }}

),

events as (

    select * from {{ ref('int_events') }}
    where {{ falls_on(days) }}

),

days as (

    select
        event_date,
        max(version) as version,
        max(basis) as basis
    from load_days
    group by event_date

),

user_events as (

    select
        {{ hash_128('user_key') }} as user_hash,
        record_key,
        event_date,
        role = 'test' as is_test,
        role = 'test' and status = 'success' as is_successful,
        case when role = 'account_created' then occurred_at end as account_created_at
    from events
    where
        fate = 'counted'
        and user_key is not null

),

user_days as (

    select
        user_hash,
        event_date,
        -- A user has two where the key was changed on that day.
        min(record_key) as record_key,
        sum(case when is_test then 1 else 0 end) as tests,
        sum(case when is_successful then 1 else 0 end) as successful_tests,
        min(account_created_at) as account_created_at
    from user_events
    group by user_hash, event_date

)

-- A day without users keeps a row, which says from what it was made.
select
    days.event_date,
    user_days.user_hash,
    user_days.record_key,
    cast(coalesce(user_days.tests, 0) as int64) as tests,
    cast(coalesce(user_days.successful_tests, 0) as int64) as successful_tests,
    cast(coalesce(user_days.tests - user_days.successful_tests, 0) as int64) as failed_tests,
    user_days.account_created_at,
    days.version,
    days.basis
from days
left join user_days
    on days.event_date = user_days.event_date
{{ stored_in_order_of('days.event_date') }}
