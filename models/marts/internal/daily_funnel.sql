with

reports as (

    select * from {{ ref('int_funnel_reports') }}
    where grain = 'day'

)

select {{ contracted_columns() }}
from reports
