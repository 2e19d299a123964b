{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert' if target.type == 'duckdb' else 'merge',
        unique_key='report_date',
        full_refresh=false,
        on_schema_change='fail'
    )
}}

{%- set newest = "cast('" ~ newest_report_date() ~ "' as date)" %}
{%- set backfill_from = var('backfill_from') %}
{%- set backfill_to = var('backfill_to') or newest_report_date() %}

with

bounds as (

    select
        {{ newest }} as newest_date,
        {% if is_incremental() -%}
        max(report_date) as last_date
    from {{ this }}
    where report_date < {{ newest }}
        {%- else -%}
        cast(null as date) as last_date
        {%- endif %}

),

-- The report asked for, and each one between it and the last one that was built before it.
due as (

    select cast(due_day as date) as report_date
    from bounds
    cross join {{ unnested_days(
        "coalesce(" ~ date_plus('bounds.last_date', 1, 'day') ~ ", bounds.newest_date)",
        'bounds.newest_date',
        'due_day'
    ) }}

)

{%- if backfill_from %},

backfilled as (

    select cast(backfill_day as date) as report_date
    from {{ unnested_days(
        "cast('" ~ backfill_from ~ "' as date)",
        "cast('" ~ backfill_to ~ "' as date)",
        'backfill_day'
    ) }}

)
{%- endif %}

select report_date from due
{%- if backfill_from %}
union distinct
select report_date from backfilled
{%- endif %}
