with

reports as (

    select * from {{ ref('int_advanced_metrics_reports') }}
    where grain = 'week'

)

select {{ contracted_columns() }}
from reports
