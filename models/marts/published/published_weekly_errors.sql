with

reports as (

    select * from {{ ref('int_published_errors') }}
    where grain = 'week'

)

select {{ contracted_columns() }}
from reports
