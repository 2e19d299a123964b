with

reports as (

    select * from {{ ref('int_released_reports') }}
    where grain = 'day'

),

figures as (

    select * from {{ ref('int_published_engagements') }}

)

select {{ columns_of_report('reports', 'figures') }}
from reports
inner join figures
    on
        reports.grain = figures.grain
        and reports.period_start_date = figures.period_start_date
