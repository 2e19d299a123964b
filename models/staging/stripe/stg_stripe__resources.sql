with

resources as (

    select * from {{ source('stripe', 'resources') }}

)

select
    resource,
    state,
    detail,
    checked_at,
    covered_through_at,
    _dlt_load_id as load_id
from resources
