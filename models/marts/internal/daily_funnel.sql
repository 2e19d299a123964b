with

reports as (

    select * from {{ ref('int_funnel_reports') }}
    where grain = 'day'

)

select
    report_date,
    period_label,
    period_start_date,
    period_end_date,
    accounts_created,
    accounts_with_tests,
    conversion_rate,
    created_at
from reports
