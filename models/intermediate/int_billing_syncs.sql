with

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

versions as (

    select * from {{ ref('stg_stripe__subscription_versions') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

resources as (

    select * from {{ ref('stg_stripe__resources') }}

),

instants as (

    select greatest(requested_at, created_at) as known_at from invoices

    union all

    select greatest(observed_at, created_at) as known_at from versions

    union all

    select greatest(requested_at, created_at) as known_at from subscriptions

    union all

    select coalesce(covered_through_at, checked_at) as known_at
    from resources
    where
        resource in ('invoices', 'subscriptions')
        and state != 'unavailable'

)

select
    max(known_at) as as_of_at,
    {{ reporting_date('max(known_at)') }} as as_of_date
from instants
