{{ config(**replaces_reports()) }}
{%- set dates = stale_reports() %}

with

metric_periods as (

    select * from {{ ref('int_metric_periods') }}
    where {{ is_one_of('report_date', dates) }}

),

report_versions as (

    select * from {{ ref('int_report_versions') }}

),

period_days as (

    select * from {{ ref('int_period_days') }}

),

test_days as (

    select * from {{ ref('int_test_days') }}

),

error_types as (

    select * from {{ ref('error_types') }}

),

failed_test_days as (

    select
        test_days.event_date,
        error_types.column_name,
        test_days.tests
    from test_days
    left join error_types
        on test_days.error_code = error_types.error_code
    where test_days.error_code is not null

),

period_errors as (

    select
        period_days.grain,
        period_days.period_start_date,
        period_days.as_of_date,
        {% for error_column in error_columns() -%}
        sum(
            case when failed_test_days.column_name = '{{ error_column }}' then failed_test_days.tests else 0 end
        ) as {{ error_column }},
        {% endfor -%}
        sum(failed_test_days.tests) as total_errors
    from period_days
    inner join failed_test_days
        on period_days.period_date = failed_test_days.event_date
    group by period_days.grain, period_days.period_start_date, period_days.as_of_date

)

select
    metric_periods.report_date,
    metric_periods.grain,
    metric_periods.is_reported,
    metric_periods.period_label,
    metric_periods.period_start_date,
    metric_periods.period_end_date,
    {% for error_column in error_columns() + ['total_errors'] -%}
    cast(coalesce(period_errors.{{ error_column }}, 0) as int64) as {{ error_column }},
    {% endfor -%}
    {{ built_at() }} as created_at,
    report_versions.version,
    report_versions.basis
from metric_periods
inner join report_versions
    on metric_periods.report_date = report_versions.report_date
left join period_errors
    on
        metric_periods.grain = period_errors.grain
        and metric_periods.period_start_date = period_errors.period_start_date
        and metric_periods.as_of_date = period_errors.as_of_date
where metric_periods.is_reported or metric_periods.is_in_history
