with

versions as (

    select * from {{ ref('stg_stripe__subscription_versions') }}

),

subscriptions as (

    select * from {{ ref('stg_stripe__subscriptions') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where
        subscription_id is not null
        and not is_deleted

),

tracked as (

    select subscription_id
    from versions
    group by subscription_id

),

-- A subscription of which no history is kept is known as it is now.
known as (

    select
        version_id,
        subscription_id,
        observed_at,
        event_at,
        customer_id,
        status,
        currency,
        created_at,
        trial_started_at,
        trial_ends_at,
        cancel_at,
        is_cancelled_at_period_end,
        cancelled_at,
        ended_at,
        pause_behavior,
        is_deleted
    from versions

    union all

    select
        subscriptions.subscription_id as version_id,
        subscriptions.subscription_id,
        subscriptions.requested_at as observed_at,
        cast(null as {{ timestamp_type() }}) as event_at,
        subscriptions.customer_id,
        subscriptions.status,
        subscriptions.currency,
        subscriptions.created_at,
        subscriptions.trial_started_at,
        subscriptions.trial_ends_at,
        subscriptions.cancel_at,
        subscriptions.is_cancelled_at_period_end,
        subscriptions.cancelled_at,
        subscriptions.ended_at,
        subscriptions.pause_behavior,
        subscriptions.is_deleted
    from subscriptions
    left join tracked
        on subscriptions.subscription_id = tracked.subscription_id
    where tracked.subscription_id is null

),

-- The first invoice of a subscription that is charged at once decides whether it ever begins.
first_invoices as (

    select
        subscription_id,
        created_at,
        paid_at,
        collection_method = 'charge_automatically' and amount_due_minor_units > 0 as has_to_be_paid,
        row_number() over (partition by subscription_id order by created_at, invoice_id) as invoice_number
    from invoices
    where
        billing_reason = 'subscription_create'
        and status != 'draft'

),

ordered as (

    select
        known.*,
        coalesce(least(known.event_at, known.observed_at), known.observed_at) as seen_at,
        first_invoices.paid_at as first_paid_at,
        coalesce(first_invoices.has_to_be_paid, false) as has_to_be_paid,
        row_number() over (
            partition by known.subscription_id order by known.observed_at, known.version_id
        ) as version_number,
        count(*) over (partition by known.subscription_id) as versions,
        lag(known.status) over (
            partition by known.subscription_id order by known.observed_at, known.version_id
        ) as status_before
    from known
    left join first_invoices
        on
            known.subscription_id = first_invoices.subscription_id
            and first_invoices.invoice_number = 1

),

-- When it came into its status: at the instant that Stripe tells, else when it was first seen to be so.
dated as (

    select
        *,
        case
            when version_number = 1 then created_at
            when status in ('canceled', 'incomplete_expired') then coalesce(ended_at, cancelled_at, seen_at)
            when is_deleted then coalesce(ended_at, seen_at)
            when
                status_before = 'trialing'
                and status != 'trialing'
                and trial_ends_at <= observed_at
                then trial_ends_at
            when
                status_before = 'incomplete'
                and status in ('active', 'past_due')
                and first_paid_at <= observed_at
                then first_paid_at
            else seen_at
        end as changed_at
    from ordered

),

-- A later version overrules an earlier one from its own instant on.
limited as (

    select
        *,
        coalesce(
            min(changed_at) over (
                partition by subscription_id order by version_number rows between 1 following and unbounded following
            ),
            {{ end_of_time() }}
        ) as next_changed_at,
        coalesce(
            min(seen_at) over (
                partition by subscription_id order by version_number rows between 1 following and unbounded following
            ),
            {{ end_of_time() }}
        ) as next_seen_at,
        min(observed_at) over (partition by subscription_id) as first_observed_at
    from dated

)

select
    version_id,
    subscription_id,
    version_number,
    version_number = versions as is_newest,
    observed_at,
    first_observed_at,
    seen_at,
    next_seen_at,
    changed_at,
    next_changed_at,
    customer_id,
    status,
    currency,
    created_at,
    trial_started_at,
    trial_ends_at,
    cancel_at,
    is_cancelled_at_period_end,
    cancelled_at,
    ended_at,
    pause_behavior,
    has_to_be_paid,
    first_paid_at,
    is_deleted
from limited
