{{ config(severity='warn') }}

with

errors_by_type as (

    select * from {{ ref('errors_by_type') }}

),

error_types as (

    select * from {{ ref('error_types') }}

)

select
    errors_by_type.error_code,
    min(errors_by_type.period_start_date) as first_seen_date,
    sum(errors_by_type.failed_tests) as failed_tests
from errors_by_type
left join error_types
    on errors_by_type.error_code = error_types.error_code
where
    errors_by_type.grain = 'day'
    and errors_by_type.error_code != '(none)'
    and error_types.error_code is null
group by errors_by_type.error_code
