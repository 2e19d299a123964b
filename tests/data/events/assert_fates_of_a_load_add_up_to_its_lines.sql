with

files as (

    select * from {{ ref('stg_events__files') }}

),

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

),

rejected_lines as (

    select * from {{ ref('int_rejected_lines') }}

),

lines_read as (

    select
        load_id,
        source_file,
        max(lines) as lines
    from files
    group by load_id, source_file

),

lines_with_fate as (

    select
        load_id,
        source_file
    from arrivals

    union all

    select
        load_id,
        source_file
    from rejected_lines

),

fates as (

    select
        load_id,
        source_file,
        count(*) as lines
    from lines_with_fate
    group by load_id, source_file

)

select
    lines_read.load_id,
    lines_read.source_file,
    lines_read.lines as lines_read,
    fates.lines as lines_with_fate
from lines_read
left join fates
    on
        lines_read.load_id = fates.load_id
        and lines_read.source_file = fates.source_file
where lines_read.lines != coalesce(fates.lines, 0)
