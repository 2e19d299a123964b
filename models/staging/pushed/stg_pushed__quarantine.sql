with

quarantine as (

    select * from {{ source('pushed', 'quarantine') }}

)

select
    source_file,
    line_number,
    reason,
    field,
    line_hash,
    received_at,
    loaded_at,
    _dlt_load_id as load_id
from quarantine
