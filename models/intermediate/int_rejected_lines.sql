with

quarantine as (

    select * from {{ ref('stg_events__quarantine') }}

),

loads as (

    select * from {{ ref('stg_events__loads') }}

)

-- Grouped, since a load that was cut off and repeated can leave a line twice under the same load id.
select
    quarantine.load_id,
    quarantine.source_file,
    quarantine.line_number,
    min(quarantine.reason) as reason,
    min(quarantine.loaded_at) as loaded_at
from quarantine
inner join loads
    on quarantine.load_id = loads.load_id
where quarantine.reason != 'conflict'
group by quarantine.load_id, quarantine.source_file, quarantine.line_number
