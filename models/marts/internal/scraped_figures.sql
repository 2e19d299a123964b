with

observations as (

    select
        *,
        {{ reporting_date('observed_at') }} as figure_date
    from {{ ref('stg_scraped__observations') }}

),

-- A value, once read on a day, stands, whatever failed after it; among equals the last one counts.
decisive_observations as (

    select *
    from observations
    qualify
        row_number() over (
            partition by metric_key, figure_date
            order by case when state = 'ok' then 0 else 1 end, observed_at desc
        ) = 1

),

observation_counts as (

    select
        metric_key,
        figure_date,
        count(*) as observations
    from observations
    group by metric_key, figure_date

),

spans as (

    select
        metric_key,
        min(figure_date) as first_date,
        max(figure_date) as last_date
    from observations
    group by metric_key

),

-- Days without any look at the page are rows too, so that a gap can be seen.
metric_days as (

    select
        spans.metric_key,
        cast(figure_day as date) as figure_date
    from spans
    cross join {{ unnested_days('spans.first_date', 'spans.last_date', 'figure_day') }}

)

select
    metric_days.figure_date,
    metric_days.metric_key,
    coalesce(decisive_observations.state, 'missing') as state,
    decisive_observations.value,
    decisive_observations.reason,
    decisive_observations.observed_at,
    coalesce(observation_counts.observations, 0) as observations,
    {{ built_at() }} as created_at
from metric_days
left join decisive_observations
    on
        metric_days.metric_key = decisive_observations.metric_key
        and metric_days.figure_date = decisive_observations.figure_date
left join observation_counts
    on
        metric_days.metric_key = observation_counts.metric_key
        and metric_days.figure_date = observation_counts.figure_date
