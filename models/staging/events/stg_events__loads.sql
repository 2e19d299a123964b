with

loads as (

    select * from {{ source('events', 'loads') }}

)

-- Grouped, since the last step of a load that was killed is done again.
select
    load_id,
    min(inserted_at) as completed_at
from loads
where status = 0
group by load_id
