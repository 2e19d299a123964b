with

loads as (

    select * from {{ ref('stg_events__loads') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

resources as (

    select * from {{ ref('stg_stripe__resources') }}
    where resource = 'invoices'

),

-- An empty list was synced too: its day is known although no invoice carries it.
synced as (

    select fetched_at as synced_at from invoices

    union all

    select checked_at as synced_at from resources
    where state = 'available'

),

unavailable as (

    select count(*) as resources
    from resources
    where state != 'available'

)

select
    'events' as source_key,
    {{ reporting_date('max(completed_at)') }} as covered_date,
    false as has_failed
from loads

union all

select
    'stripe' as source_key,
    {{ reporting_date('max(synced.synced_at)') }} as covered_date,
    max(unavailable.resources) > 0 as has_failed
from unavailable
left join synced
    on true
