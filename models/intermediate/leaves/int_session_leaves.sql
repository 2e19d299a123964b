{%- set most = privacy_parameters().session_cap %}

with

report_dates as (

    select * from {{ ref('report_dates') }}

),

newest_report as (

    select max(report_date) as report_date
    from report_dates

),

day_sessions as (

    select
        sessions.session_date,
        sessions.user_hash,
        sessions.record_key,
        -- A success counts once the report knows of it.
        case
            when sessions.first_success_date <= newest_report.report_date then least(sessions.first_success_try, 3)
        end as success_try
    from {{ ref('int_sessions') }} as sessions
    cross join newest_report
    where
        sessions.session_date is not null
        -- A session ends on the day it begins, or later.
        and {{ may_be_released('day', 'sessions.last_date') }}

),

-- Those without a user count as the doing of one person.
contributions as (

    select
        session_date,
        case success_try
            when 1 then 'first_try'
            when 2 then 'second_try'
            when 3 then 'third_or_later'
            else 'unsuccessful'
        end as cell,
        case when user_hash is null then 0 else min(record_key) end as record_key,
        case when user_hash is null then count(*) else least(count(*), {{ most }}) end as sessions
    from day_sessions
    group by session_date, user_hash, success_try

)

select
    'sessions' as family,
    'day' as grain,
    session_date as period_start_date,
    cell,
    cast(sum(sessions) as int64) as units,
    count(*) as users,
    {{ exclusive_or('record_key') }} as contributors_key
from contributions
group by session_date, cell
