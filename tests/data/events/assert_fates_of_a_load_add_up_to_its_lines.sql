with

files as (

    select * from {{ ref('stg_events__files') }}

),

loads as (

    select * from {{ ref('stg_events__loads') }}

),

event_fates as (

    select * from {{ ref('event_fates') }}

),

-- A load that was cut off and repeated can leave a file twice under the same load id.
files_read as (

    select
        files.load_id,
        files.source_file,
        max(files.lines) as lines,
        min(files.loaded_at) as loaded_at
    from files
    inner join loads
        on files.load_id = loads.load_id
    group by files.load_id, files.source_file

),

lines_read as (

    select
        {{ reporting_date('loaded_at') }} as load_date,
        sum(lines) as lines
    from files_read
    group by {{ reporting_date('loaded_at') }}

),

fates as (

    select
        load_date,
        sum(lines) as lines
    from event_fates
    group by load_date

)

select
    lines_read.load_date,
    lines_read.lines as lines_read,
    fates.lines as lines_with_fate
from lines_read
left join fates
    on lines_read.load_date = fates.load_date
where lines_read.lines != coalesce(fates.lines, 0)
