with

test_days as (

    select * from {{ ref('int_test_days') }}

),

report_dates as (

    select * from {{ ref('report_dates') }}

),

newest_report as (

    select max(report_date) as report_date
    from report_dates

),

failed_test_days as (

    select
        test_days.event_date,
        test_days.error_code,
        test_days.tests
    from test_days
    inner join newest_report
        on test_days.event_date <= newest_report.report_date
    where test_days.error_code is not null

),

started as (

    {% for grain in ['day', 'week', 'month'] -%}
    select
        '{{ grain }}' as grain,
        {{ period_start(grain, 'event_date') }} as period_start_date,
        error_code,
        tests
    from failed_test_days
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

)

select
    grain,
    period_start_date,
    error_code,
    cast(sum(tests) as int64) as failed_tests,
    {{ built_at() }} as created_at
from started
group by grain, period_start_date, error_code
