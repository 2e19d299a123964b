with

reports as (

    select * from {{ ref('int_engagement_reports') }}
    where grain = 'day'

)

select {{ contracted_columns() }}
from reports
