{{ config(severity='warn') }}

with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

),

event_roles as (

    select * from {{ ref('event_roles') }}

)

select event_roles.event_key
from event_roles
left join arrivals
    on event_roles.event_key = arrivals.event_key
where arrivals.event_key is null
