with

reports as (

    select * from {{ ref('int_engagement_reports') }}
    where
        grain = 'month'
        and is_reported

)

select {{ contracted_columns() }}
from reports
