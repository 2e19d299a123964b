with

files as (

    select * from {{ source('pushed', 'files') }}

)

select
    source_file,
    size_bytes,
    lines,
    metric_values,
    retries,
    quarantined,
    loaded_at,
    _dlt_load_id as load_id
from files
