with

files as (

    select * from {{ source('events', 'files') }}

)

select
    _dlt_load_id as load_id,
    source_file,
    lines,
    events,
    quarantined,
    loaded_at
from files
