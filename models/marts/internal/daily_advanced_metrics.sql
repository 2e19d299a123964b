with

reports as (

    select * from {{ ref('int_advanced_metrics_reports') }}
    where
        grain = 'day'
        and is_reported

)

select {{ contracted_columns() }}
from reports
