with

reports as (

    select * from {{ ref('int_published_errors') }}
    where grain = 'day'

)

select {{ contracted_columns() }}
from reports
