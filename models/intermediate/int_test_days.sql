with

tests as (

    select * from {{ ref('int_tests') }}

)

select
    event_date,
    error_code,
    count(*) as tests
from tests
group by event_date, error_code
