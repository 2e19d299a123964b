with

reports as (

    select * from {{ ref('int_funnel_reports') }}
    where grain = 'week'

)

select {{ contracted_columns() }}
from reports
