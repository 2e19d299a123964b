with

metric_values as (

    select * from {{ source('pushed', 'metric_values') }}

),

-- A correction is pushed under the same metric and timestamp.
last_values as (

    select *
    from metric_values
    qualify
        row_number() over (
            partition by metric_key, measured_at
            order by received_at desc, source_file desc, line_number desc
        ) = 1

)

select
    metric_key,
    measured_at,
    value,
    pushed_id,
    received_at,
    loaded_at,
    _dlt_load_id as load_id
from last_values
