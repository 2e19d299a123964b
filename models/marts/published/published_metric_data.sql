with

metrics as (

    select * from {{ ref('metrics') }}
    where audience = 'published'

),

released_periods as (

    select * from {{ ref('int_released_periods') }}

),

-- What anybody can read on the web is public as it is.
scraped_figures as (

    select * from {{ ref('scraped_figures') }}

),

protected_values as (

    select * from {{ ref('int_published_metrics') }}

),

protected_metrics as (

    select metric_key
    from protected_values
    group by metric_key

),

known_values as (

    select
        *,
        cast(null as string) as failure
    from protected_values

    union all

    select
        metric_key,
        'day' as grain,
        figure_date as period_start_date,
        '' as dimension,
        cast(value as {{ float_type() }}) as value,
        cast(null as {{ float_type() }}) as numerator,
        cast(null as {{ float_type() }}) as denominator,
        case
            when state = 'missing' then 'missing'
            when state != 'ok' then 'broken'
        end as failure
    from scraped_figures

),

-- What is not protected has days only.
cells as (

    select
        metrics.metric_key,
        released_periods.grain,
        released_periods.period_start_date,
        released_periods.period_end_date,
        released_periods.released_at
    from metrics
    left join protected_metrics
        on metrics.metric_key = protected_metrics.metric_key
    inner join released_periods
        on
            released_periods.grain = 'day'
            or protected_metrics.metric_key is not null

),

-- A state says no more than the figures do: withheld is whatever was released and is not shown.
judged as (

    select
        cells.*,
        known_values.value,
        known_values.numerator,
        known_values.denominator,
        case
            when known_values.metric_key is null then 'missing'
            when known_values.failure is not null then known_values.failure
            when known_values.value is not null then 'final'
            when known_values.denominator = 0 then 'undefined'
            when cells.metric_key = 'active_change' then 'undefined'
            else 'withheld'
        end as state
    from cells
    left join known_values
        on
            cells.metric_key = known_values.metric_key
            and cells.grain = known_values.grain
            and cells.period_start_date = known_values.period_start_date

)

select
    metric_key,
    grain,
    period_start_date,
    period_end_date,
    '' as dimension,
    value,
    case when denominator is not null then numerator end as numerator,
    case when numerator is not null then denominator end as denominator,
    state,
    released_at as computed_at
from judged
