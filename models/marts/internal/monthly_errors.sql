with

reports as (

    select * from {{ ref('int_errors_reports') }}
    where grain = 'month'

)

select {{ contracted_columns() }}
from reports
