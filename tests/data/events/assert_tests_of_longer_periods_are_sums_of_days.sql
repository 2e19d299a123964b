with

reports as (

    select * from {{ ref('int_engagement_reports') }}

),

test_days as (

    select * from {{ ref('int_test_days') }}

),

report_days as (

    select
        reports.report_date,
        reports.grain,
        reports.period_start_date,
        sum(test_days.tests) as tests
    from reports
    inner join test_days
        on
            reports.period_start_date <= test_days.event_date
            and reports.period_end_date >= test_days.event_date
            and reports.report_date >= test_days.event_date
    group by reports.report_date, reports.grain, reports.period_start_date

)

select
    reports.report_date,
    reports.grain,
    reports.period_start_date,
    reports.all_tests,
    report_days.tests
from reports
left join report_days
    on
        reports.report_date = report_days.report_date
        and reports.grain = report_days.grain
        and reports.period_start_date = report_days.period_start_date
where reports.all_tests != coalesce(report_days.tests, 0)
