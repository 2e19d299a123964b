with

reports as (

    select * from {{ ref('int_funnel_reports') }}
    where grain = 'month'

)

select {{ contracted_columns() }}
from reports
