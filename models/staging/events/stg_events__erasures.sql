with

erasures as (

    select * from {{ source('events', 'erasures') }}

)

select
    erasure_id,
    erased_at
from erasures
