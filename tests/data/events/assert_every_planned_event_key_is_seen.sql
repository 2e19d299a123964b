{{ config(severity='warn') }}

with

fate_days as (

    select event_key
    from {{ ref('int_fate_days') }}
    group by event_key

),

event_roles as (

    select * from {{ ref('event_roles') }}

)

select event_roles.event_key
from event_roles
left join fate_days
    on event_roles.event_key = fate_days.event_key
where fate_days.event_key is null
