with

reports as (

    select * from {{ ref('int_published_engagements') }}
    where grain = 'day'

)

select {{ contracted_columns() }}
from reports
