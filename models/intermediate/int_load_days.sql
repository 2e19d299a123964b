{{ config(**replaces_rows(['load_id', 'event_date'], follows='int_event_arrivals')) }}
{%- set newest = first_column('select max(version) as version from ' ~ this)[0] if is_incremental() %}

with

-- A line is settled anew only by a higher batch, and never leaves its load or its day.
arrivals as (

    select * from {{ ref('int_event_arrivals') }}
    where {{ 'batch > ' ~ newest if newest is not none and newest else 'true' }}

)

select
    load_id,
    event_date,
    max(batch) as version,
    max(basis) as basis
from arrivals
group by load_id, event_date
