with

tests as (

    select * from {{ ref('int_tests') }}

)

select
    user_key,
    event_date,
    count(*) as tests,
    sum(case when is_successful then 1 else 0 end) as successful_tests,
    sum(case when is_successful then 0 else 1 end) as failed_tests
from tests
where user_key is not null
group by user_key, event_date
