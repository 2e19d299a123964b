{%- set most = privacy_parameters().test_cap %}

-- Large tables are named where they are read, so that the filters of the reader reach them.
with

user_tests as (

    select
        event_date,
        'success' as cell,
        record_key,
        least(successful_tests, {{ most }}) as tests
    from {{ ref('int_user_days') }}
    where
        successful_tests > 0
        and {{ may_be_released('day', 'event_date') }}

    union all

    select
        event_date,
        'error' as cell,
        record_key,
        least(failed_tests, {{ most }}) as tests
    from {{ ref('int_user_days') }}
    where
        failed_tests > 0
        and {{ may_be_released('day', 'event_date') }}

),

test_days as (

    select
        event_date,
        case when error_code is null then 'success' else 'error' end as cell,
        sum(tests) as tests
    from {{ ref('int_test_days') }}
    where tests > 0
    group by event_date, case when error_code is null then 'success' else 'error' end

),

users_test_days as (

    select
        event_date,
        sum(successful_tests) as successful_tests,
        sum(failed_tests) as failed_tests
    from {{ ref('int_user_days') }}
    where {{ may_be_released('day', 'event_date') }}
    group by event_date

),

-- What nobody in particular did counts as the doing of one person.
tests_without_user as (

    select
        test_days.event_date,
        test_days.cell,
        test_days.tests - case
            when test_days.cell = 'success' then users_test_days.successful_tests
            else users_test_days.failed_tests
        end as tests
    from test_days
    inner join users_test_days
        on test_days.event_date = users_test_days.event_date

),

contributions as (

    select
        event_date,
        cell,
        record_key,
        tests
    from user_tests

    union all

    select
        event_date,
        cell,
        0 as record_key,
        tests
    from tests_without_user
    where tests > 0

)

select
    'tests' as family,
    'day' as grain,
    event_date as period_start_date,
    cell,
    cast(sum(tests) as int64) as units,
    count(*) as users,
    {{ exclusive_or('record_key') }} as contributors_key
from contributions
group by event_date, cell
