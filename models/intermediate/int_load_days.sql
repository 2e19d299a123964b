with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

)

select
    load_id,
    event_date,
    count(*) as lines,
    max(batch) as version,
    max(basis) as basis
from arrivals
group by load_id, event_date
