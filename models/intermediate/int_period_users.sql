with

period_days as (

    select * from {{ ref('period_days') }}

),

user_days as (

    select * from {{ ref('int_user_days') }}

),

users as (

    select
        period_days.grain,
        period_days.period_start_date,
        period_days.as_of_date,
        user_days.user_key,
        sum(user_days.successful_tests) as successful_tests,
        sum(user_days.failed_tests) as failed_tests
    from period_days
    inner join user_days
        on period_days.period_date = user_days.event_date
    group by period_days.grain, period_days.period_start_date, period_days.as_of_date, user_days.user_key

),

-- Users with equally many failed tests stand together, so that the Gini coefficient needs no row for each user.
failure_counts as (

    select
        grain,
        period_start_date,
        as_of_date,
        failed_tests,
        count(*) as users,
        sum(case when successful_tests > 0 then 1 else 0 end) as successful_users
    from users
    group by grain, period_start_date, as_of_date, failed_tests

),

ranked as (

    select
        *,
        sum(users) over (
            partition by grain, period_start_date, as_of_date
            order by failed_tests asc
        ) - users as users_before,
        sum(users) over (partition by grain, period_start_date, as_of_date) as all_users
    from failure_counts

)

select
    grain,
    period_start_date,
    as_of_date,
    cast(sum(users) as int64) as active_users,
    cast(sum(successful_users) as int64) as successful_test_users,
    -- The sum of (2i - n - 1) over the ranks i of users with the same count is users x (2 x before + users - n).
    {{ ratio(
        'sum(failed_tests * users * (2 * users_before + users - all_users))',
        'max(all_users) * sum(failed_tests * users)'
    ) }} as error_gini_coefficient
from ranked
group by grain, period_start_date, as_of_date
