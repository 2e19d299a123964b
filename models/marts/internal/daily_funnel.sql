with

reports as (

    select * from {{ ref('int_funnel_reports') }}
    where
        grain = 'day'
        and is_reported

)

select {{ contracted_columns() }}
from reports
