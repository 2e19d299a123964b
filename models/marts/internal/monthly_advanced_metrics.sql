with

reports as (

    select * from {{ ref('int_advanced_metrics_reports') }}
    where grain = 'month'

)

select
    report_date,
    period_label,
    period_start_date,
    period_end_date,
    total_sessions,
    successful_sessions,
    adjusted_success_rate,
    first_try_successes,
    first_try_success_rate,
    second_try_successes,
    second_try_success_rate,
    third_plus_try_successes,
    third_plus_try_success_rate,
    error_gini_coefficient,
    created_at
from reports
