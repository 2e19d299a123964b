{{ config(severity='warn') }}

with

metric_values as (

    select
        metric_key,
        count(*) as metric_values
    from {{ ref('stg_pushed__metric_values') }}
    group by metric_key

),

metrics as (

    select * from {{ ref('metrics') }}

)

select
    metric_values.metric_key,
    metric_values.metric_values
from metric_values
left join metrics
    on metric_values.metric_key = metrics.metric_key
where metrics.daily_aggregation is null
