with

loads as (

    select * from {{ ref('stg_events__loads') }}

),

billing_syncs as (

    select * from {{ ref('int_billing_syncs') }}

),

resources as (

    select * from {{ ref('stg_stripe__resources') }}

),

unavailable as (

    select count(*) as resources
    from resources
    where
        resource = 'invoices'
        and state = 'unavailable'

)

select
    'events' as source_key,
    {{ reporting_date('max(completed_at)') }} as covered_date,
    false as has_failed
from loads

union all

select
    'stripe' as source_key,
    billing_syncs.as_of_date as covered_date,
    unavailable.resources > 0 as has_failed
from billing_syncs
cross join unavailable
