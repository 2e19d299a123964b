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

session_days as (

    select * from {{ ref('int_session_days') }}

),

period_users as (

    select * from {{ ref('int_period_users') }}

),

reported_periods as (

    select * from metric_periods
    where is_reported or is_in_history

),

-- A session belongs to the day of its first test; a success counts once the report knows of it.
sessions_as_reported as (

    select
        reported_periods.report_date,
        reported_periods.grain,
        reported_periods.period_start_date,
        session_days.sessions,
        case
            when session_days.first_success_date <= reported_periods.report_date
                then session_days.first_success_try
        end as first_success_try
    from reported_periods
    inner join session_days
        on
            reported_periods.period_start_date <= session_days.session_date
            and reported_periods.as_of_date >= session_days.session_date

),

period_sessions as (

    select
        report_date,
        grain,
        period_start_date,
        sum(sessions) as total_sessions,
        sum(case when first_success_try >= 1 then sessions else 0 end) as successful_sessions,
        sum(case when first_success_try = 1 then sessions else 0 end) as first_try_successes,
        sum(case when first_success_try = 2 then sessions else 0 end) as second_try_successes,
        sum(case when first_success_try >= 3 then sessions else 0 end) as third_plus_try_successes
    from sessions_as_reported
    group by report_date, grain, period_start_date

),

counted as (

    select
        reported_periods.*,
        cast(coalesce(period_sessions.total_sessions, 0) as int64) as total_sessions,
        cast(coalesce(period_sessions.successful_sessions, 0) as int64) as successful_sessions,
        cast(coalesce(period_sessions.first_try_successes, 0) as int64) as first_try_successes,
        cast(coalesce(period_sessions.second_try_successes, 0) as int64) as second_try_successes,
        cast(coalesce(period_sessions.third_plus_try_successes, 0) as int64) as third_plus_try_successes,
        period_users.error_gini_coefficient
    from reported_periods
    left join period_sessions
        on
            reported_periods.report_date = period_sessions.report_date
            and reported_periods.grain = period_sessions.grain
            and reported_periods.period_start_date = period_sessions.period_start_date
    left join period_users
        on
            reported_periods.grain = period_users.grain
            and reported_periods.period_start_date = period_users.period_start_date
            and reported_periods.as_of_date = period_users.as_of_date

)

select
    counted.report_date,
    counted.grain,
    counted.is_reported,
    counted.period_label,
    counted.period_start_date,
    counted.period_end_date,
    counted.total_sessions,
    counted.successful_sessions,
    {{ percentage('successful_sessions', 'total_sessions') }} as adjusted_success_rate,
    counted.first_try_successes,
    {{ percentage('first_try_successes', 'total_sessions') }} as first_try_success_rate,
    counted.second_try_successes,
    {{ percentage('second_try_successes', 'total_sessions') }} as second_try_success_rate,
    counted.third_plus_try_successes,
    {{ percentage('third_plus_try_successes', 'total_sessions') }} as third_plus_try_success_rate,
    counted.error_gini_coefficient,
    {{ built_at() }} as created_at,
    report_versions.version,
    report_versions.basis
from counted
inner join report_versions
    on counted.report_date = report_versions.report_date
