-- Large tables are named where they are read, so that the filters of the reader reach them.
with

period_users as (

    {% for grain in ['day', 'week', 'month'] -%}
    select
        '{{ grain }}' as grain,
        {{ period_start(grain, 'event_date') }} as period_start_date,
        user_hash,
        min(record_key) as record_key,
        sum(failed_tests) as failed_tests
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
        grain,
        period_start_date,
        record_key,
        case
            when failed_tests < 3 then cast(cast(failed_tests as int64) as string)
            when failed_tests < 6 then '3_to_5'
            else '6_or_more'
        end as cell
    from period_users

)

select
    'error_buckets' as family,
    grain,
    period_start_date,
    cell,
    count(*) as units,
    count(*) as users,
    {{ exclusive_or('record_key') }} as contributors_key
from user_cells
group by grain, period_start_date, cell
