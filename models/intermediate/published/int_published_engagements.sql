with

release_ledger as (

    select * from {{ ref('release_ledger') }}

),

released_periods as (

    select * from {{ ref('int_released_periods') }}

),

-- Sums of cells leave out what is withheld; they are NULL where all of it is.
measured as (

    select
        grain,
        period_start_date,
        {{ sum_of_cells('engagement_users', [
            'new_success', 'returning_success', 'success',
        ]) }} as successful_test_users,
        {{ sum_of_cells('engagement_users', [
            'new_success', 'new_other', 'returning_success', 'returning_other', 'success', 'other',
        ]) }} as active_users,
        {{ sum_of_cells('engagement_users', ['base', 'new_success', 'new_other']) }} as further_active_users,
        {{ sum_of_cells('accounts', ['base', 'with_test', 'without_test']) }} as further_users,
        {{ sum_of_cells('tests', ['success', 'error']) }} as all_tests,
        {{ sum_of_cells('tests', ['success']) }} as successful_tests
    from release_ledger
    group by grain, period_start_date

),

days as (

    select
        *,
        sum(further_users) over (order by period_start_date asc) as total_users_to_date,
        sum(further_active_users) over (order by period_start_date asc) as total_active_users_to_date
    from measured
    where grain = 'day'

),

periods_of_days as (

    select
        released_periods.grain,
        released_periods.period_start_date,
        sum(days.all_tests) as all_tests,
        sum(days.successful_tests) as successful_tests,
        sum(days.active_users) as active_users_of_days,
        max(days.active_users) as active_users_of_best_day,
        sum(days.successful_test_users) as successful_test_users_of_days,
        max(days.successful_test_users) as successful_test_users_of_best_day,
        max(days.total_users_to_date) as total_users_to_date,
        max(days.total_active_users_to_date) as total_active_users_to_date
    from released_periods
    inner join days
        on
            released_periods.period_start_date <= days.period_start_date
            and released_periods.period_end_date >= days.period_start_date
    group by released_periods.grain, released_periods.period_start_date

),

-- No day's distinct users above those of its week or month, and none of these above the sum of its days.
coherent_users as (

    select
        periods_of_days.*,
        measured.successful_test_users as measured_successful_test_users,
        least(
            greatest(measured.active_users, periods_of_days.active_users_of_best_day),
            periods_of_days.active_users_of_days
        ) as active_users
    from periods_of_days
    inner join measured
        on
            periods_of_days.grain = measured.grain
            and periods_of_days.period_start_date = measured.period_start_date

),

coherent as (

    select
        *,
        least(
            greatest(measured_successful_test_users, successful_test_users_of_best_day),
            successful_test_users_of_days,
            active_users
        ) as successful_test_users
    from coherent_users

),

rated as (

    select
        *,
        {{ percentage('active_users', 'total_active_users_to_date') }} as active_percentage,
        {{ ratio('successful_tests', 'active_users') }} as avg_tests_per_active_user
    from coherent

),

compared as (

    select
        *,
        active_percentage - lag(active_percentage) over (
            partition by grain
            order by period_start_date asc
        ) as active_change
    from rated

)

select
    grain,
    period_start_date,
    {% for count in [
        'all_tests', 'successful_tests', 'successful_test_users', 'active_users',
        'total_users_to_date', 'total_active_users_to_date',
    ] -%}
    cast({{ count }} as int64) as {{ count }},
    {% endfor -%}
    active_percentage,
    active_change,
    avg_tests_per_active_user
from compared
