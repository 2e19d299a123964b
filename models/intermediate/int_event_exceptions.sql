{{
    config(materialized='view')
    if target.type == 'duckdb'
    else config(post_hook="{{ keep_conflicts_in_quarantine() }}", **replaces_days(follows='int_load_days'))
}}
{%- set days = stale_days() if target.type == 'bigquery' else none %}

with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}
    where {{ is_one_of('event_date', days) }}

),

exceptions as (

    select
        event_date,
        load_id,
        source_file,
        line_number,
        loaded_at,
        settled,
        copies,
        event_id,
        line_hash,
        batch as version,
        basis
    from arrivals
    where
        settled != 'winner'
        or copies > 1

){{ ',' if target.type == 'bigquery' }}

{% if target.type == 'bigquery' -%}
load_days as (

    select
        event_date,
        max(version) as version,
        max(basis) as basis
    from {{ ref('int_load_days') }}
    where {{ is_one_of('event_date', days) }}
    group by event_date

)

-- A day without exceptions keeps a row, which says from what it was made.
select
    load_days.event_date,
    exceptions.load_id,
    exceptions.source_file,
    exceptions.line_number,
    exceptions.loaded_at,
    exceptions.settled,
    exceptions.copies,
    exceptions.event_id,
    exceptions.line_hash,
    load_days.version,
    load_days.basis
from load_days
left join exceptions
    on load_days.event_date = exceptions.event_date
{%- else -%}
select * from exceptions
{%- endif %}
