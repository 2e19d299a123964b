{{ config(severity='warn') }}

with

errors_by_type as (

    select * from {{ ref('errors_by_type') }}

),

error_types as (

    select * from {{ ref('error_types') }}

)

select error_types.error_code
from error_types
left join errors_by_type
    on error_types.error_code = errors_by_type.error_code
where errors_by_type.error_code is null
