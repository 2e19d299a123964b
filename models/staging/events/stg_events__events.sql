with

events as (

    select * from {{ source('events', 'events') }}

)

select
    event_id,
    event_key,
    service_key,
    session_id,
    status,
    error_code,
    is_test as is_flagged,
    user_key,
    record_key,
    occurred_at,
    received_at,
    {{ reporting_date('occurred_at') }} as event_date,
    _dlt_load_id as load_id,
    source_file,
    line_number,
    loaded_at
from events
