with

report_dates as (

    select * from {{ ref('report_dates') }}

),

test_days as (

    select * from {{ ref('int_test_days') }}

),

user_days as (

    select * from {{ ref('int_user_days') }}
    where {{ rows_that_tell(ref('int_user_days')) }}

),

users as (

    select * from {{ ref('int_users') }}

),

sessions as (

    select * from {{ ref('int_sessions') }}
    where {{ rows_that_tell(ref('int_sessions')) }}

),

error_types as (

    select * from {{ ref('error_types') }}

),

-- What a report is made from is as old as the oldest of these.
layers as (

    select
        max(version) as version,
        max(basis) as basis
    from user_days

    union all

    select
        max(version) as version,
        max(basis) as basis
    from users

    union all

    select
        max(version) as version,
        max(basis) as basis
    from sessions

),

oldest_layer as (

    select
        min(coalesce(version, 0)) as version,
        min(basis) as basis
    from layers

),

known_days as (

    select
        report_dates.report_date,
        coalesce(max(test_days.version), 0) as version
    from report_dates
    left join test_days
        on report_dates.report_date >= test_days.event_date
    group by report_dates.report_date

),

settings as (

    select string_agg(concat(error_code, '=', column_name), ',' order by error_code) as error_columns
    from error_types

)

select
    known_days.report_date,
    concat(
        cast(least(known_days.version, oldest_layer.version) as string),
        ' {{ var("report_periods") }} ',
        {{ dbt.hash("coalesce(settings.error_columns, '')") }}
    ) as version,
    oldest_layer.basis
from known_days
cross join oldest_layer
cross join settings
