with

events as (

    select * from {{ source('stripe', 'events') }}

)

select
    id as event_id,
    type as event_type,
    object_type,
    object_id,
    changed_fields,
    created_at,
    livemode as is_live,
    requested_at,
    _dlt_load_id as load_id
from events
