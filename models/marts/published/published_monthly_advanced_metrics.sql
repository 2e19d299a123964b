with

reports as (

    select * from {{ ref('int_published_advanced_metrics') }}
    where grain = 'month'

)

select {{ contracted_columns() }}
from reports
