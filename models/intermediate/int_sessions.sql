with

tests as (

    select * from {{ ref('int_tests') }}

),

numbered as (

    select
        user_key,
        session_key,
        is_successful,
        occurred_at,
        event_date,
        row_number() over session_order as try_number
    from tests
    window session_order as (
        partition by user_key, session_key
        order by occurred_at asc, event_id asc
    )

)

select
    user_key,
    session_key,
    count(*) as tests,
    min(occurred_at) as started_at,
    max(occurred_at) as last_tested_at,
    max(case when try_number = 1 then event_date end) as session_date,
    -- Tests are in order of time, so the date of the first success is the date the session became successful.
    min(case when is_successful then try_number end) as first_success_try,
    min(case when is_successful then event_date end) as first_success_date
from numbered
group by user_key, session_key
