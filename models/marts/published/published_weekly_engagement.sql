with

reports as (

    select * from {{ ref('int_published_engagements') }}
    where grain = 'week'

)

select {{ contracted_columns() }}
from reports
