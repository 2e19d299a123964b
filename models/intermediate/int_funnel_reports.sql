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

users as (

    select * from {{ ref('int_users') }}

),

account_days as (

    select
        account_date,
        first_test_date,
        count(*) as accounts
    from users
    where account_date is not null
    group by account_date, first_test_date

),

period_accounts as (

    select
        metric_periods.report_date,
        metric_periods.grain,
        metric_periods.period_start_date,
        sum(account_days.accounts) as accounts_created,
        sum(
            case
                when account_days.first_test_date <= metric_periods.report_date then account_days.accounts
                else 0
            end
        ) as accounts_with_tests
    from metric_periods
    inner join account_days
        on
            metric_periods.period_start_date <= account_days.account_date
            and metric_periods.as_of_date >= account_days.account_date
    group by metric_periods.report_date, metric_periods.grain, metric_periods.period_start_date

),

counted as (

    select
        metric_periods.*,
        cast(coalesce(period_accounts.accounts_created, 0) as int64) as accounts_created,
        cast(coalesce(period_accounts.accounts_with_tests, 0) as int64) as accounts_with_tests
    from metric_periods
    left join period_accounts
        on
            metric_periods.report_date = period_accounts.report_date
            and metric_periods.grain = period_accounts.grain
            and metric_periods.period_start_date = period_accounts.period_start_date
    where metric_periods.is_reported or metric_periods.is_in_history

)

select
    counted.report_date,
    counted.grain,
    counted.is_reported,
    counted.period_label,
    counted.period_start_date,
    counted.period_end_date,
    counted.accounts_created,
    counted.accounts_with_tests,
    {{ percentage('accounts_with_tests', 'accounts_created') }} as conversion_rate,
    {{ built_at() }} as created_at,
    report_versions.version,
    report_versions.basis
from counted
inner join report_versions
    on counted.report_date = report_versions.report_date
