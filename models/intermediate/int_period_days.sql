with

metric_periods as (

    select * from {{ ref('int_metric_periods') }}

),

-- Reports share most of their periods: what happened in a period up to a day is computed once for all of them.
periods as (

    select
        grain,
        period_start_date,
        as_of_date
    from metric_periods
    group by grain, period_start_date, as_of_date

)

select
    periods.grain,
    periods.period_start_date,
    periods.as_of_date,
    cast(period_day as date) as period_date
from periods
cross join {{ unnested_days('periods.period_start_date', 'periods.as_of_date', 'period_day') }}
