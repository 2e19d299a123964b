-- From the first release on; a figure of internal metrics is none of these.
with

metrics as (

    select * from {{ ref('metrics') }}

),

first_release as (

    select min(period_start_date) as period_start_date
    from {{ ref('int_released_periods') }}

),

metric_data as (

    select metric_key
    from {{ ref('published_metric_data') }}
    group by metric_key

)

select
    coalesce(metrics.metric_key, metric_data.metric_key) as metric_key,
    metrics.audience
from metrics
full outer join metric_data
    on metrics.metric_key = metric_data.metric_key
cross join first_release
where
    first_release.period_start_date is not null
    and (metric_data.metric_key is not null) != coalesce(metrics.audience = 'published', false)
