with

reports as (

    select * from {{ ref('int_errors_reports') }}
    where grain = 'month'

)

select
    report_date,
    period_label,
    period_start_date,
    period_end_date,
    no_period_history,
    camera_too_far,
    camera_too_close,
    analysis_error,
    test_lines_not_found,
    test_not_found,
    total_errors,
    created_at
from reports
