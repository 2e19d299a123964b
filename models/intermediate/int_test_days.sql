{{ config(**replaces_days(follows='int_load_days')) }}
{%- set days = stale_days() %}

with

load_days as (

    select * from {{ ref('int_load_days') }}
    where {{ is_one_of('event_date', days) }}

),

tests as (

    select * from {{ ref('int_tests') }}
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

test_days as (

    select
        event_date,
        error_code,
        count(*) as tests
    from tests
    group by event_date, error_code

)

-- A day without tests keeps a row, which says from what it was made.
select
    days.event_date,
    test_days.error_code,
    coalesce(test_days.tests, 0) as tests,
    days.version,
    days.basis
from days
left join test_days
    on days.event_date = test_days.event_date
