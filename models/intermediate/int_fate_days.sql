{{ config(**replaces_days(follows='int_load_days')) }}
{%- set days = stale_days() %}

with

load_days as (

    select * from {{ ref('int_load_days') }}
    where {{ is_one_of('event_date', days) }}

),

arrivals as (

    select * from {{ ref('int_event_arrivals') }}
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

fates as (

    select
        event_date,
        loaded_at,
        event_key,
        fate,
        count(*) as lines
    from events
    group by event_date, loaded_at, event_key, fate

    union all

    select
        event_date,
        loaded_at,
        cast(null as string) as event_key,
        settled as fate,
        count(*) as lines
    from arrivals
    where settled != 'winner'
    group by event_date, loaded_at, settled

)

-- An event and its copies can lie on different days, but a day that was touched has at least one line.
select
    days.event_date,
    {{ reporting_date('fates.loaded_at') }} as load_date,
    fates.event_key,
    fates.fate,
    cast(sum(fates.lines) as int64) as lines,
    max(days.version) as version,
    max(days.basis) as basis
from days
inner join fates
    on days.event_date = fates.event_date
group by days.event_date, {{ reporting_date('fates.loaded_at') }}, fates.event_key, fates.fate
