{{ config(**replaces_days(follows='int_load_days')) }}
{%- set days = stale_days() %}

with

load_days as (

    select * from {{ ref('int_load_days') }}
    where {{ is_one_of('event_date', days) }}

),

failed_tests as (

    select
        case when user_key is not null then {{ hash_128('user_key') }} end as user_hash,
        record_key,
        event_date,
        error_code
    from {{ ref('int_tests') }}
    where
        error_code is not null
        and {{ falls_on(days) }}

),

days as (

    select
        event_date,
        max(version) as version,
        max(basis) as basis
    from load_days
    group by event_date

),

error_days as (

    select
        event_date,
        user_hash,
        error_code,
        min(record_key) as record_key,
        count(*) as failed_tests
    from failed_tests
    group by event_date, user_hash, error_code

)

-- A day without failed tests keeps a row, which says from what it was made.
select
    days.event_date,
    error_days.user_hash,
    error_days.record_key,
    error_days.error_code,
    coalesce(error_days.failed_tests, 0) as failed_tests,
    days.version,
    days.basis
from days
left join error_days
    on days.event_date = error_days.event_date
{{ stored_in_order_of('days.event_date') }}
