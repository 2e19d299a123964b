{{
    config(
        materialized='incremental',
        incremental_strategy='append' if target.type == 'duckdb' else 'merge',
        full_refresh=false,
        on_schema_change='append_new_columns'
    )
}}

with

metric_data as (

    select * from {{ ref('metric_data') }}

){{ ',' if is_incremental() }}

{% if is_incremental() -%}
last_versions as (

    select *
    from {{ this }}
    qualify
        row_number() over (
            partition by metric_key, grain, period_start_date, dimension
            order by version_number desc
        ) = 1

),

compared as (

    select
        metric_data.metric_key,
        metric_data.grain,
        metric_data.period_start_date,
        metric_data.dimension,
        metric_data.value,
        metric_data.state,
        coalesce(last_versions.version_number, 0) + 1 as version_number,
        case
            when last_versions.version_number is null then metric_data.state = 'final'
            when metric_data.value is null or last_versions.value is null
                then metric_data.state != last_versions.state
            -- Sums of fractions may differ in their last digits.
            else
                abs(metric_data.value - last_versions.value)
                > 0.000000001 * greatest(abs(metric_data.value), abs(last_versions.value))
        end as is_new
    from metric_data
    left join last_versions
        on
            metric_data.metric_key = last_versions.metric_key
            and metric_data.grain = last_versions.grain
            and metric_data.period_start_date = last_versions.period_start_date
            and metric_data.dimension = last_versions.dimension

)

select
    metric_key,
    grain,
    period_start_date,
    dimension,
    cast(version_number as int64) as version_number,
    value,
    state,
    {{ built_at() }} as shown_at
from compared
where is_new
{%- else -%}
select
    metric_key,
    grain,
    period_start_date,
    dimension,
    cast(1 as int64) as version_number,
    value,
    state,
    {{ built_at() }} as shown_at
from metric_data
where state = 'final'
{%- endif %}
