{{ config(severity='warn') }}

with

fate_days as (

    select * from {{ ref('int_fate_days') }}

),

event_roles as (

    select * from {{ ref('event_roles') }}

)

select
    fate_days.event_key,
    sum(fate_days.lines) as lines
from fate_days
left join event_roles
    on fate_days.event_key = event_roles.event_key
where
    event_roles.event_key is null
    and fate_days.event_key is not null
group by fate_days.event_key
