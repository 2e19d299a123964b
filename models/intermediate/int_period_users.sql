{{ config(**replaces_rows(['grain', 'period_start_date', 'as_of_date'], follows='int_user_days')) }}
{%- set serious_successes = var('serious_user_min_successes') | int %}
{#- Both say the same of a day; on BigQuery the small table is read. #}
{%- set versioned_days = ref('int_load_days') if target.type == 'bigquery' else ref('int_user_days') %}
{%- set periods_to_build %}
period_days as (

    select * from {{ ref('int_period_days') }}

),

day_versions as (

    select
        event_date,
        max(version) as version
    from {{ versioned_days }}
    group by event_date

),

period_versions as (

    select
        period_days.grain,
        period_days.period_start_date,
        period_days.as_of_date,
        coalesce(max(day_versions.version), 0) as version
    from period_days
    left join day_versions
        on period_days.period_date = day_versions.event_date
    group by period_days.grain, period_days.period_start_date, period_days.as_of_date

),

{% if is_incremental() -%}
stored_periods as (

    select * from {{ this }}

),

stale_periods as (

    select period_versions.*
    from period_versions
    left join stored_periods
        on
            period_versions.grain = stored_periods.grain
            and period_versions.period_start_date = stored_periods.period_start_date
            and period_versions.as_of_date = stored_periods.as_of_date
    where period_versions.version is distinct from stored_periods.version

)
{%- else -%}
stale_periods as (

    select * from period_versions

)
{%- endif %}
{%- endset %}
{%- set days = stale_period_days(periods_to_build) %}

-- Large tables are named where they are read: DuckDB writes down whole what several CTEs read from one.
with

{{ periods_to_build }},

state as (

    select max(basis) as basis
    from {{ ref('int_user_days') }}
    where {{ rows_that_tell(ref('int_user_days')) }}

),

-- Reports of one period differ by the day as of which they are made; its days are read once for all of them.
days_to_read as (

    select
        period_days.grain,
        period_days.period_start_date,
        period_days.period_date
    from period_days
    inner join stale_periods
        on
            period_days.grain = stale_periods.grain
            and period_days.period_start_date = stale_periods.period_start_date
            and period_days.as_of_date = stale_periods.as_of_date
    group by period_days.grain, period_days.period_start_date, period_days.period_date

),

active_days as (

    select
        days_to_read.grain,
        days_to_read.period_start_date,
        user_days.event_date,
        user_days.user_hash,
        user_days.failed_tests,
        user_days.successful_tests
    from days_to_read
    inner join {{ ref('int_user_days') }} as user_days
        on days_to_read.period_date = user_days.event_date
    where
        user_days.tests > 0
        and {{ is_one_of('user_days.event_date', days) }}

),

running as (

    select
        grain,
        period_start_date,
        event_date,
        failed_tests as failed_on_day,
        sum(failed_tests) over user_order as failed_to_date,
        sum(successful_tests) over user_order as successes_to_date,
        sum(successful_tests) over user_order - successful_tests as successes_before,
        count(*) over user_order as active_day_number
    from active_days
    window user_order as (
        partition by grain, period_start_date, user_hash
        order by event_date asc
        rows between unbounded preceding and current row
    )

),

-- Each active day moves its user from one number of failed tests to another.
moves as (

    select
        grain,
        period_start_date,
        event_date,
        case when active_day_number > 1 then failed_to_date - failed_on_day end as failed_before,
        failed_to_date,
        count(*) as users,
        sum(case when successes_to_date > 0 and successes_before = 0 then 1 else 0 end) as successful_test_users,
        sum(
            case
                when successes_to_date >= {{ serious_successes }} and successes_before < {{ serious_successes }} then 1
                else 0
            end
        ) as serious_active_users
    from running
    group by
        grain,
        period_start_date,
        event_date,
        case when active_day_number > 1 then failed_to_date - failed_on_day end,
        failed_to_date

),

changes as (

    select
        grain,
        period_start_date,
        event_date,
        failed_to_date as failed_tests,
        users,
        successful_test_users,
        serious_active_users
    from moves

    union all

    select
        grain,
        period_start_date,
        event_date,
        failed_before as failed_tests,
        -users as users,
        0 as successful_test_users,
        0 as serious_active_users
    from moves
    where failed_before is not null

),

failure_counts as (

    select
        stale_periods.grain,
        stale_periods.period_start_date,
        stale_periods.as_of_date,
        changes.failed_tests,
        sum(changes.users) as users,
        sum(changes.successful_test_users) as successful_test_users,
        sum(changes.serious_active_users) as serious_active_users
    from stale_periods
    inner join changes
        on
            stale_periods.grain = changes.grain
            and stale_periods.period_start_date = changes.period_start_date
            and stale_periods.as_of_date >= changes.event_date
    group by
        stale_periods.grain,
        stale_periods.period_start_date,
        stale_periods.as_of_date,
        changes.failed_tests

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

),

counted as (

    select
        grain,
        period_start_date,
        as_of_date,
        sum(users) as active_users,
        sum(successful_test_users) as successful_test_users,
        sum(serious_active_users) as serious_active_users,
        -- The sum of (2i - n - 1) over the ranks i of users with the same count is users x (2 x before + users - n).
        {{ ratio(
            'sum(failed_tests * users * (2 * users_before + users - all_users))',
            'max(all_users) * sum(failed_tests * users)'
        ) }} as error_gini_coefficient
    from ranked
    group by grain, period_start_date, as_of_date

)

-- A period without users has a row too, which says from what it was made.
select
    stale_periods.grain,
    stale_periods.period_start_date,
    stale_periods.as_of_date,
    cast(coalesce(counted.active_users, 0) as int64) as active_users,
    cast(coalesce(counted.successful_test_users, 0) as int64) as successful_test_users,
    cast(coalesce(counted.serious_active_users, 0) as int64) as serious_active_users,
    counted.error_gini_coefficient,
    stale_periods.version,
    state.basis
from stale_periods
cross join state
left join counted
    on
        stale_periods.grain = counted.grain
        and stale_periods.period_start_date = counted.period_start_date
        and stale_periods.as_of_date = counted.as_of_date
