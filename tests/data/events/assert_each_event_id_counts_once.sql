with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

),

staged as (

    select * from {{ ref('stg_events__events') }}

),

settled as (

    select count(*) as ids
    from arrivals
    where fate not in ('duplicate', 'conflict')

),

known as (

    select count(distinct event_id) as ids
    from staged

)

select
    settled.ids as settled_ids,
    known.ids as known_ids
from settled
cross join known
where settled.ids != known.ids
