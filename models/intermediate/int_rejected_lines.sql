with

quarantine as (

    select * from {{ ref('stg_events__quarantine') }}

)

-- Grouped, since a load that was cut off and repeated can leave a line twice under the same load id.
select
    load_id,
    source_file,
    line_number,
    min(reason) as reason,
    min(loaded_at) as loaded_at
from quarantine
where reason != 'conflict'
group by load_id, source_file, line_number
