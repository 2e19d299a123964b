with

versions as (

    select * from {{ ref('int_subscription_versions') }}

),

billed_items as (

    select * from {{ ref('int_billed_items') }}
    where not is_given_back

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}
    where
        subscription_id is not null
        and not is_deleted

),

billed as (

    select
        versions.subscription_id,
        max(case when billed_items.invoice_status = 'paid' then billed_items.period_end_at end) as paid_until,
        min(
            case when billed_items.period_start_at >= versions.trial_ends_at then billed_items.period_start_at end
        ) as billed_after_trial_at
    from versions
    left join billed_items
        on versions.subscription_id = billed_items.subscription_id
    where versions.version_number = 1
    group by versions.subscription_id

),

overdue as (

    select
        subscription_id,
        min(finalized_at) as overdue_from
    from invoices
    where
        status = 'open'
        and amount_remaining_minor_units > 0
    group by subscription_id

),

-- What the first look at a subscription tells of its life before.
first_looks as (

    select
        versions.*,
        billed.paid_until,
        versions.trial_ends_at is not null as has_trial,
        greatest(coalesce(versions.trial_started_at, versions.created_at), versions.created_at) as trial_from,
        case
            when versions.has_to_be_paid and versions.first_paid_at > versions.created_at then versions.first_paid_at
            else versions.created_at
        end as first_from,
        coalesce(billed.billed_after_trial_at, versions.trial_ends_at) as after_trial_from,
        case
            when versions.status = 'canceled' then coalesce(versions.ended_at, versions.cancelled_at, versions.seen_at)
            when versions.is_deleted then coalesce(versions.ended_at, versions.seen_at)
            when versions.status = 'unpaid' then coalesce(billed.paid_until, versions.created_at)
            when versions.status = 'paused' and billed.billed_after_trial_at is null
                then coalesce(versions.trial_ends_at, billed.paid_until, versions.seen_at)
            when versions.status = 'paused' then coalesce(billed.paid_until, versions.seen_at)
            when versions.status = 'past_due' then coalesce(overdue.overdue_from, versions.seen_at)
            else versions.next_changed_at
        end as over_at,
        versions.status in ('incomplete', 'incomplete_expired')
        or (
            versions.status = 'canceled'
            and versions.has_to_be_paid
            and versions.first_paid_at is null
        ) as has_never_begun,
        versions.status = 'trialing' and versions.is_newest as is_in_trial
    from versions
    inner join billed
        on versions.subscription_id = billed.subscription_id
    left join overdue
        on versions.subscription_id = overdue.subscription_id
    where versions.version_number = 1

),

stretches as (

    select
        subscription_id,
        'incomplete' as condition,
        created_at as valid_from,
        next_changed_at as valid_to
    from first_looks
    where has_never_begun

    union all

    select
        subscription_id,
        'trialing' as condition,
        trial_from as valid_from,
        least(trial_ends_at, over_at, next_changed_at) as valid_to
    from first_looks
    where
        has_trial
        and not has_never_begun

    union all

    -- A trial may have been given to a subscription that was there before.
    select
        subscription_id,
        'active' as condition,
        first_from as valid_from,
        least(case when has_trial then trial_from else over_at end, over_at, next_changed_at) as valid_to
    from first_looks
    where not has_never_begun

    union all

    select
        subscription_id,
        'active' as condition,
        after_trial_from as valid_from,
        least(over_at, next_changed_at) as valid_to
    from first_looks
    where
        has_trial
        and not has_never_begun
        and not is_in_trial

    union all

    select
        subscription_id,
        status as condition,
        over_at as valid_from,
        next_changed_at as valid_to
    from first_looks
    where
        status in ('canceled', 'unpaid', 'paused', 'past_due')
        and not has_never_begun

    union all

    select
        subscription_id,
        case when is_deleted then 'canceled' else status end as condition,
        changed_at as valid_from,
        case
            when status = 'trialing' and not is_newest then least(trial_ends_at, next_changed_at)
            else next_changed_at
        end as valid_to
    from versions
    where version_number > 1

    union all

    -- A trial that was over before the next look.
    select
        subscription_id,
        'active' as condition,
        trial_ends_at as valid_from,
        next_changed_at as valid_to
    from versions
    where
        version_number > 1
        and status = 'trialing'
        and not is_newest

    union all

    select
        subscription_id,
        'asked_to_end' as condition,
        cancelled_at as valid_from,
        next_seen_at as valid_to
    from versions
    where cancelled_at is not null

    union all

    select
        subscription_id,
        'collection_paused' as condition,
        seen_at as valid_from,
        next_seen_at as valid_to
    from versions
    where pause_behavior is not null

),

-- Where subscriptions cannot be read, one that was ever to be paid for counts as long as something is billed for it.
unread as (

    select
        billed_items.subscription_id,
        min(billed_items.period_start_at) as billed_from,
        min(
            case
                when
                    invoices.billing_reason = 'subscription_create'
                    and invoices.collection_method = 'charge_automatically'
                    and invoices.amount_due_minor_units > 0
                    then coalesce(invoices.paid_at, {{ end_of_time() }})
            end
        ) as first_paid_at,
        min(invoices.paid_at) as ever_paid_at
    from billed_items
    inner join invoices
        on billed_items.invoice_id = invoices.invoice_id
    left join versions
        on
            billed_items.subscription_id = versions.subscription_id
            and versions.version_number = 1
    where versions.subscription_id is null
    group by billed_items.subscription_id

)

select
    subscription_id,
    condition,
    valid_from,
    valid_to
from stretches
where valid_from < valid_to

union all

select
    subscription_id,
    'active' as condition,
    greatest(billed_from, least(coalesce(first_paid_at, billed_from), coalesce(ever_paid_at, {{ end_of_time() }})))
        as valid_from,
    {{ end_of_time() }} as valid_to
from unread
