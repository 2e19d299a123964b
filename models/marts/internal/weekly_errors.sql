with

reports as (

    select * from {{ ref('int_errors_reports') }}
    where
        grain = 'week'
        and is_reported

)

select {{ contracted_columns() }}
from reports
