-- Missing figures are rows too.
with

metrics as (

    select * from {{ ref('metrics') }}

),

metric_data as (

    select metric_key
    from {{ ref('metric_data') }}
    group by metric_key

)

select metrics.metric_key
from metrics
left join metric_data
    on metrics.metric_key = metric_data.metric_key
where metric_data.metric_key is null
