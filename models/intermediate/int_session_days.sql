with

sessions as (

    select * from {{ ref('int_sessions') }}

)

select
    session_date,
    first_success_date,
    case when first_success_try > 3 then 3 else first_success_try end as first_success_try,
    count(*) as sessions
from sessions
where session_date is not null
group by session_date, first_success_date, case when first_success_try > 3 then 3 else first_success_try end
