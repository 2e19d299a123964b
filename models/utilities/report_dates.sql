{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert' if target.type == 'duckdb' else 'merge',
        unique_key='report_date',
        full_refresh=false
    )
}}

{%- set newest = "cast('" ~ newest_report_date() ~ "' as date)" %}
{%- set backfill_from = asked_date('backfill_from') %}
{%- set backfill_to = asked_date('backfill_to') or newest_report_date() %}
{%- set after_last_report = date_plus('report_date', 1, 'day') %}
{%- if backfill_from %}
{%- set first_date = "cast('" ~ backfill_from ~ "' as date)" %}
{%- set last_date = "cast('" ~ backfill_to ~ "' as date)" %}
{%- else %}
{%- set first_date = "coalesce(" ~ after_last_report ~ ", " ~ newest ~ ")" %}
{%- set last_date = newest %}
{%- endif %}

with

{% if is_incremental() and not backfill_from -%}
last_report as (

    select max(report_date) as report_date
    from {{ this }}
    where report_date < {{ newest }}

),
{%- else -%}
last_report as (

    select cast(null as date) as report_date

),
{%- endif %}

-- A range that is asked for, else the newest report and each one missing between it and the last one before it.
bounds as (

    select
        {{ first_date }} as first_date,
        {{ last_date }} as last_date
    from last_report

)

select cast(report_day as date) as report_date
from bounds
cross join {{ unnested_days('bounds.first_date', 'bounds.last_date', 'report_day') }}
