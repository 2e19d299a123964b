{{ config(severity='warn') }}

with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

),

event_roles as (

    select * from {{ ref('event_roles') }}

)

select
    arrivals.event_key,
    count(*) as lines
from arrivals
left join event_roles
    on arrivals.event_key = event_roles.event_key
where event_roles.event_key is null
group by arrivals.event_key
