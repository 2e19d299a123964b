with

sessions as (

    select * from {{ ref('int_sessions') }}

)

select
    session_date,
    first_success_date,
    least(first_success_try, 3) as first_success_try,
    count(*) as sessions
from sessions
where session_date is not null
group by session_date, first_success_date, least(first_success_try, 3)
