with

quarantine as (

    select * from {{ source('events', 'quarantine') }}

)

select
    reason,
    _dlt_load_id as load_id,
    source_file,
    line_number,
    loaded_at
from quarantine
