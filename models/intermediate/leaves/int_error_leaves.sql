{%- set most = privacy_parameters().error_cap %}

with

error_types as (

    select * from {{ ref('error_types') }}

),

-- Those without a user count as the doing of one person.
contributions as (

    select
        error_days.event_date,
        coalesce(error_types.column_name, 'other') as cell,
        case when error_days.user_hash is null then 0 else min(error_days.record_key) end as record_key,
        case
            when error_days.user_hash is null then sum(error_days.failed_tests)
            else least(sum(error_days.failed_tests), {{ most }})
        end as failed_tests
    from {{ ref('int_error_days') }} as error_days
    left join error_types
        on error_days.error_code = error_types.error_code
    where
        error_days.failed_tests > 0
        and {{ may_be_released('day', 'error_days.event_date') }}
    group by error_days.event_date, error_days.user_hash, coalesce(error_types.column_name, 'other')

)

select
    'errors' as family,
    'day' as grain,
    event_date as period_start_date,
    cell,
    cast(sum(failed_tests) as int64) as units,
    count(*) as users,
    {{ exclusive_or('record_key') }} as contributors_key
from contributions
group by event_date, cell
