-- Large tables are named where they are read, so that the filters of the reader reach them.
with

day_users as (

    select
        user_days.event_date,
        user_days.record_key,
        case when users.first_test_date = user_days.event_date then 'new' else 'returning' end as kind,
        case when user_days.successful_tests > 0 then 'success' else 'other' end as outcome
    from {{ ref('int_user_days') }} as user_days
    inner join {{ ref('int_users') }} as users
        on user_days.user_hash = users.user_hash
    where
        user_days.tests > 0
        and {{ may_be_released('day', 'user_days.event_date') }}

),

period_users as (

    {% for grain in ['week', 'month'] -%}
    select
        '{{ grain }}' as grain,
        {{ period_start(grain, 'event_date') }} as period_start_date,
        user_hash,
        min(record_key) as record_key,
        case when max(successful_tests) > 0 then 'success' else 'other' end as cell
    from {{ ref('int_user_days') }}
    where
        tests > 0
        and {{ may_be_released(grain, 'event_date') }}
    group by {{ period_start(grain, 'event_date') }}, user_hash
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

user_cells as (

    select
        'day' as grain,
        event_date as period_start_date,
        record_key,
        concat(kind, '_', outcome) as cell
    from day_users

    union all

    select
        grain,
        period_start_date,
        record_key,
        cell
    from period_users

)

select
    'engagement_users' as family,
    grain,
    period_start_date,
    cell,
    count(*) as units,
    count(*) as users,
    {{ exclusive_or('record_key') }} as contributors_key
from user_cells
group by grain, period_start_date, cell
