with

report_dates as (

    select * from {{ ref('report_dates') }}

),

newest_report as (

    select max(report_date) as report_date
    from report_dates

),

user_cells as (

    select
        users.account_date,
        user_days.record_key,
        case when users.first_test_date <= newest_report.report_date then 'with_test' else 'without_test' end as cell
    from {{ ref('int_users') }} as users
    inner join {{ ref('int_user_days') }} as user_days
        on
            users.user_hash = user_days.user_hash
            and users.account_date = user_days.event_date
    cross join newest_report
    where {{ may_be_released('day', 'user_days.event_date') }}

)

select
    'accounts' as family,
    'day' as grain,
    account_date as period_start_date,
    cell,
    count(*) as units,
    count(*) as users,
    {{ exclusive_or('record_key') }} as contributors_key
from user_cells
group by account_date, cell
