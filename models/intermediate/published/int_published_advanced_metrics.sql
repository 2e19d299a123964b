{%- set counts = {
    'total_sessions': ['first_try', 'second_try', 'third_or_later', 'unsuccessful'],
    'successful_sessions': ['first_try', 'second_try', 'third_or_later'],
    'first_try_successes': ['first_try'],
    'second_try_successes': ['second_try'],
    'third_plus_try_successes': ['third_or_later'],
} %}
{#- How many failed tests stand for a bucket. #}
{%- set failures = {'0': 0, '1': 1, '2': 2, '3_to_5': 4, '6_or_more': 8} %}

with

release_ledger as (

    select * from {{ ref('release_ledger') }}

),

released_periods as (

    select * from {{ ref('int_released_periods') }}

),

-- Sums of cells leave out what is withheld; they are NULL where all of it is.
days as (

    select
        {% for count, cells in counts.items() -%}
        {{ sum_of_cells('sessions', cells) }} as {{ count }},
        {% endfor -%}
        period_start_date
    from release_ledger
    where grain = 'day'
    group by period_start_date

),

periods as (

    select
        {% for count in counts -%}
        cast(sum(days.{{ count }}) as int64) as {{ count }},
        {% endfor -%}
        released_periods.grain,
        released_periods.period_start_date
    from released_periods
    inner join days
        on
            released_periods.period_start_date <= days.period_start_date
            and released_periods.period_end_date >= days.period_start_date
    group by released_periods.grain, released_periods.period_start_date

),

buckets as (

    select
        grain,
        period_start_date,
        case cell
            {% for cell, failed_tests in failures.items() -%}
            when '{{ cell }}' then {{ failed_tests }}
            {% endfor -%}
        end as failed_tests,
        value as users
    from release_ledger
    where family = 'error_buckets'

),

ranked_buckets as (

    select
        *,
        sum(users) over (
            partition by grain, period_start_date
            order by failed_tests asc
        ) - users as users_before,
        sum(users) over (partition by grain, period_start_date) as all_users
    from buckets

),

-- The sum of (2i - n - 1) over the ranks i of users with the same count is users x (2 x before + users - n).
unevenness as (

    select
        grain,
        period_start_date,
        max(all_users) as all_users,
        sum(failed_tests * users * (2 * users_before + users - all_users)) as numerator,
        max(all_users) * sum(failed_tests * users) as denominator
    from ranked_buckets
    group by grain, period_start_date

),

-- Hundredths, rounded half up in whole numbers; NULL where nothing failed.
hundredths as (

    select
        *,
        200 * numerator + denominator as dividend,
        2 * denominator as divisor
    from unevenness
    where
        all_users >= 50
        and denominator > 0

),

gini as (

    select
        grain,
        period_start_date,
        {{ ratio('(dividend - mod(dividend, divisor)) / divisor', '100') }} as error_gini_coefficient
    from hundredths

)

select
    periods.grain,
    periods.period_start_date,
    periods.total_sessions,
    periods.successful_sessions,
    {{ percentage('periods.successful_sessions', 'periods.total_sessions') }} as adjusted_success_rate,
    periods.first_try_successes,
    {{ percentage('periods.first_try_successes', 'periods.total_sessions') }} as first_try_success_rate,
    periods.second_try_successes,
    {{ percentage('periods.second_try_successes', 'periods.total_sessions') }} as second_try_success_rate,
    periods.third_plus_try_successes,
    {{ percentage('periods.third_plus_try_successes', 'periods.total_sessions') }} as third_plus_try_success_rate,
    gini.error_gini_coefficient
from periods
left join gini
    on
        periods.grain = gini.grain
        and periods.period_start_date = gini.period_start_date
