with

fate_days as (

    select * from {{ ref('int_fate_days') }}

),

rejected_lines as (

    select * from {{ ref('int_rejected_lines') }}

),

all_lines as (

    select
        load_date,
        fate,
        lines
    from fate_days

    union all

    select
        {{ reporting_date('loaded_at') }} as load_date,
        reason as fate,
        1 as lines
    from rejected_lines

)

select
    load_date,
    fate,
    cast(sum(lines) as int64) as lines,
    {{ built_at() }} as created_at
from all_lines
group by load_date, fate
