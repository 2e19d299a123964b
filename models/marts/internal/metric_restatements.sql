with

metric_versions as (

    select * from {{ ref('metric_versions') }}

),

compared as (

    select
        metric_key,
        grain,
        period_start_date,
        dimension,
        version_number,
        lag(value) over version_order as value_before,
        value as value_after,
        lag(state) over version_order as state_before,
        state as state_after,
        lag(shown_at) over version_order as first_shown_at,
        shown_at as changed_at
    from metric_versions
    window version_order as (
        partition by metric_key, grain, period_start_date, dimension
        order by version_number asc
    )

)

select
    metric_key,
    grain,
    period_start_date,
    dimension,
    value_before,
    value_after,
    state_before,
    state_after,
    first_shown_at,
    changed_at
from compared
where version_number > 1
