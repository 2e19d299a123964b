{{ config(severity='warn') }}

with

sessions as (

    select * from {{ ref('int_sessions') }}
    where {{ lies_on_newest_days(ref('int_sessions')) }}

)

select
    session_date,
    tests
from sessions
where
    last_date > session_date
    and last_tested_at > started_at + interval 1 day
