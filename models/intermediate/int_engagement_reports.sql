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

period_users as (

    select * from {{ ref('int_period_users') }}

),

users as (

    select * from {{ ref('int_users') }}

),

period_tests as (

    select
        period_days.grain,
        period_days.period_start_date,
        period_days.as_of_date,
        sum(test_days.tests) as all_tests,
        sum(case when test_days.error_code is null then test_days.tests else 0 end) as successful_tests
    from period_days
    inner join test_days
        on period_days.period_date = test_days.event_date
    group by period_days.grain, period_days.period_start_date, period_days.as_of_date

),

as_of_dates as (

    select as_of_date
    from metric_periods
    group by as_of_date

),

account_days as (

    select
        account_date,
        count(*) as users
    from users
    where account_date is not null
    group by account_date

),

first_test_days as (

    select
        first_test_date,
        count(*) as users
    from users
    where first_test_date is not null
    group by first_test_date

),

accounts_to_date as (

    select
        as_of_dates.as_of_date,
        sum(account_days.users) as users
    from as_of_dates
    inner join account_days
        on as_of_dates.as_of_date >= account_days.account_date
    group by as_of_dates.as_of_date

),

active_to_date as (

    select
        as_of_dates.as_of_date,
        sum(first_test_days.users) as users
    from as_of_dates
    inner join first_test_days
        on as_of_dates.as_of_date >= first_test_days.first_test_date
    group by as_of_dates.as_of_date

),

counted as (

    select
        metric_periods.*,
        cast(coalesce(period_tests.all_tests, 0) as int64) as all_tests,
        cast(coalesce(period_tests.successful_tests, 0) as int64) as successful_tests,
        coalesce(period_users.successful_test_users, 0) as successful_test_users,
        coalesce(period_users.active_users, 0) as active_users,
        coalesce(period_users.serious_active_users, 0) as serious_active_users,
        cast(coalesce(accounts_to_date.users, 0) as int64) as total_users_to_date,
        cast(coalesce(active_to_date.users, 0) as int64) as total_active_users_to_date
    from metric_periods
    left join period_tests
        on
            metric_periods.grain = period_tests.grain
            and metric_periods.period_start_date = period_tests.period_start_date
            and metric_periods.as_of_date = period_tests.as_of_date
    left join period_users
        on
            metric_periods.grain = period_users.grain
            and metric_periods.period_start_date = period_users.period_start_date
            and metric_periods.as_of_date = period_users.as_of_date
    left join accounts_to_date
        on metric_periods.as_of_date = accounts_to_date.as_of_date
    left join active_to_date
        on metric_periods.as_of_date = active_to_date.as_of_date

),

rated as (

    select
        *,
        {{ percentage('active_users', 'total_active_users_to_date') }} as active_percentage,
        {{ ratio('successful_tests', 'active_users') }} as avg_tests_per_active_user
    from counted

),

compared as (

    select
        *,
        active_percentage - lag(active_percentage) over (
            partition by report_date, grain
            order by period_start_date asc
        ) as active_change
    from rated

)

select
    compared.report_date,
    compared.grain,
    compared.is_reported,
    compared.period_label,
    compared.period_start_date,
    compared.period_end_date,
    compared.all_tests,
    compared.successful_tests,
    compared.successful_test_users,
    compared.active_users,
    compared.total_users_to_date,
    compared.total_active_users_to_date,
    compared.active_percentage,
    compared.active_change,
    compared.avg_tests_per_active_user,
    compared.serious_active_users,
    {{ built_at() }} as created_at,
    report_versions.version,
    report_versions.basis
from compared
inner join report_versions
    on compared.report_date = report_versions.report_date
where compared.is_reported or compared.is_in_history
