with

errors_by_type as (

    select * from {{ ref('errors_by_type') }}

),

reports as (

    select * from {{ ref('int_errors_reports') }}

),

newest_report as (

    select max(report_date) as report_date
    from reports

),

by_type as (

    select
        grain,
        period_start_date,
        sum(failed_tests) as failed_tests
    from errors_by_type
    group by grain, period_start_date

)

select
    reports.grain,
    reports.period_start_date,
    reports.total_errors,
    by_type.failed_tests
from reports
inner join newest_report
    on reports.report_date = newest_report.report_date
left join by_type
    on
        reports.grain = by_type.grain
        and reports.period_start_date = by_type.period_start_date
where reports.total_errors != coalesce(by_type.failed_tests, 0)
