with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

),

quarantine as (

    select * from {{ ref('int_rejected_lines') }}

),

lines as (

    select
        loaded_at,
        fate
    from arrivals

    union all

    select
        loaded_at,
        reason as fate
    from quarantine

)

select
    {{ reporting_date('loaded_at') }} as load_date,
    fate,
    count(*) as lines,
    {{ built_at() }} as created_at
from lines
group by {{ reporting_date('loaded_at') }}, fate
