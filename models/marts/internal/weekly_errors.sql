with

reports as (

    select * from {{ ref('int_errors_reports') }}
    where grain = 'week'

)

select {{ contracted_columns() }}
from reports
