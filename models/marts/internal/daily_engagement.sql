with

reports as (

    select * from {{ ref('int_engagement_reports') }}
    where grain = 'day'

)

select
    report_date,
    period_label,
    period_start_date,
    period_end_date,
    all_tests,
    successful_tests,
    successful_test_users,
    active_users,
    total_users_to_date,
    total_active_users_to_date,
    active_percentage,
    active_change,
    avg_tests_per_active_user,
    created_at
from reports
