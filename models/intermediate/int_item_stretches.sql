with

versions as (

    select * from {{ ref('int_subscription_versions') }}

),

version_items as (

    select * from {{ ref('stg_stripe__subscription_version_items') }}

),

subscription_items as (

    select * from {{ ref('stg_stripe__subscription_items') }}

),

billed_items as (

    select * from {{ ref('int_billed_items') }}

),

seen_items as (

    select
        version_id,
        subscription_id,
        subscription_item_id,
        price_id,
        currency,
        quantity,
        inclusive_tax_percentage
    from version_items

    union all

    select
        versions.version_id,
        versions.subscription_id,
        subscription_items.subscription_item_id,
        subscription_items.price_id,
        subscription_items.currency,
        subscription_items.quantity,
        subscription_items.inclusive_tax_percentage
    from versions
    inner join subscription_items
        on
            versions.subscription_id = subscription_items.subscription_id
            and versions.version_id = versions.subscription_id

),

items as (

    select
        subscription_id,
        subscription_item_id
    from seen_items
    group by subscription_id, subscription_item_id

    union distinct

    select
        subscription_id,
        subscription_item_id
    from billed_items
    group by subscription_id, subscription_item_id

),

billed_spans as (

    select
        subscription_id,
        subscription_item_id,
        min(period_start_at) as first_billed_at,
        max(case when not is_given_back then period_end_at end) as billed_until
    from billed_items
    group by subscription_id, subscription_item_id

),

-- What each invoice and each look at the subscription say of an item, the later one overruling the earlier one.
billed_points as (

    select
        subscription_id,
        subscription_item_id,
        period_start_at as valid_from,
        case when is_given_back then 1 else 2 end as point_rank,
        not is_given_back as is_present,
        price_id,
        currency,
        quantity,
        case when not is_given_back then cycle_minor_units end as cycle_minor_units,
        case when not is_given_back then cycle_interval end as cycle_interval,
        case when not is_given_back then cycle_interval_count end as cycle_interval_count,
        case
            when not is_given_back and amount_minor_units > discount_minor_units
                then amount_minor_units - discount_minor_units
        end as taxed_minor_units,
        case
            when not is_given_back and amount_minor_units > discount_minor_units
                then inclusive_tax_minor_units
        end as tax_minor_units,
        cast(null as {{ exact_type() }}) as inclusive_tax_percentage
    from billed_items

),

-- Where subscriptions cannot be read, an item is over when nothing more is billed.
expiries as (

    select
        billed_items.subscription_id,
        billed_items.subscription_item_id,
        billed_items.period_end_at as valid_from,
        lead(billed_items.period_start_at) over (
            partition by billed_items.subscription_id, billed_items.subscription_item_id
            order by billed_items.period_start_at
        ) as next_start_at
    from billed_items
    left join versions
        on
            billed_items.subscription_id = versions.subscription_id
            and versions.version_number = 1
    where
        versions.subscription_id is null
        and not billed_items.is_given_back

),

seen_points as (

    select
        items.subscription_id,
        items.subscription_item_id,
        case
            when seen_items.subscription_item_id is not null and versions.version_number > 1
                then versions.seen_at
            when seen_items.subscription_item_id is not null and billed_spans.billed_until is not null
                then versions.seen_at
            when seen_items.subscription_item_id is not null
                then coalesce(subscription_items.created_at, versions.created_at)
            when versions.version_number = 1 and billed_spans.billed_until < versions.seen_at
                then billed_spans.billed_until
            else versions.seen_at
        end as valid_from,
        seen_items.subscription_item_id is not null as is_present,
        seen_items.price_id,
        versions.currency,
        seen_items.quantity,
        seen_items.inclusive_tax_percentage
    from items
    inner join versions
        on items.subscription_id = versions.subscription_id
    left join seen_items
        on
            versions.version_id = seen_items.version_id
            and items.subscription_item_id = seen_items.subscription_item_id
    left join billed_spans
        on
            items.subscription_id = billed_spans.subscription_id
            and items.subscription_item_id = billed_spans.subscription_item_id
    left join subscription_items
        on items.subscription_item_id = subscription_items.subscription_item_id

),

points as (

    select * from billed_points

    union all

    select
        subscription_id,
        subscription_item_id,
        valid_from,
        0 as point_rank,
        false as is_present,
        cast(null as string) as price_id,
        cast(null as string) as currency,
        cast(null as int64) as quantity,
        cast(null as {{ exact_type() }}) as cycle_minor_units,
        cast(null as string) as cycle_interval,
        cast(null as int64) as cycle_interval_count,
        cast(null as int64) as taxed_minor_units,
        cast(null as int64) as tax_minor_units,
        cast(null as {{ exact_type() }}) as inclusive_tax_percentage
    from expiries
    where
        next_start_at is null
        or next_start_at >= valid_from

    union all

    select
        subscription_id,
        subscription_item_id,
        valid_from,
        3 as point_rank,
        is_present,
        price_id,
        currency,
        quantity,
        cast(null as {{ exact_type() }}) as cycle_minor_units,
        cast(null as string) as cycle_interval,
        cast(null as int64) as cycle_interval_count,
        cast(null as int64) as taxed_minor_units,
        cast(null as int64) as tax_minor_units,
        inclusive_tax_percentage
    from seen_points

),

-- A look at the subscription does not tell what is billed for it, nor an invoice the rate of the tax.
filled as (

    select
        subscription_id,
        subscription_item_id,
        valid_from,
        point_rank,
        is_present,
        price_id,
        currency,
        quantity,
        {% for column in ['cycle_minor_units', 'cycle_interval', 'cycle_interval_count'] -%}
        coalesce(
            {{ column }},
            last_value({{ column }} ignore nulls) over (
                partition by subscription_id, subscription_item_id, price_id
                order by valid_from, point_rank
                rows between unbounded preceding and current row
            ),
            first_value({{ column }} ignore nulls) over (
                partition by subscription_id, subscription_item_id, price_id
                order by valid_from, point_rank
                rows between current row and unbounded following
            )
        ) as {{ column }},
        {% endfor -%}
        {% for column in ['taxed_minor_units', 'tax_minor_units'] -%}
        last_value({{ column }} ignore nulls) over (
            partition by subscription_id, subscription_item_id
            order by valid_from, point_rank
            rows between unbounded preceding and current row
        ) as {{ column }},
        {% endfor -%}
        coalesce(
            last_value(inclusive_tax_percentage ignore nulls) over (
                partition by subscription_id, subscription_item_id
                order by valid_from, point_rank
                rows between unbounded preceding and current row
            ),
            first_value(inclusive_tax_percentage ignore nulls) over (
                partition by subscription_id, subscription_item_id
                order by valid_from, point_rank
                rows between current row and unbounded following
            )
        ) as inclusive_tax_percentage
    from points

),

-- Of what was said of one instant the last counts.
ranked as (

    select
        *,
        row_number() over (
            partition by subscription_id, subscription_item_id, valid_from order by point_rank desc
        ) as rank_at_instant
    from filled

),

-- Most of it says what was said before.
described as (

    select
        *,
        concat(
            cast(is_present as string), '|',
            coalesce(price_id, ''), '|',
            coalesce(currency, ''), '|',
            coalesce(cast(quantity as string), ''), '|',
            coalesce(cast(cycle_minor_units as string), ''), '|',
            coalesce(cycle_interval, ''), coalesce(cast(cycle_interval_count as string), ''), '|',
            coalesce(cast(taxed_minor_units as string), ''), '/', coalesce(cast(tax_minor_units as string), ''), '|',
            coalesce(cast(inclusive_tax_percentage as string), '')
        ) as said
    from ranked
    where rank_at_instant = 1

),

compared as (

    select
        *,
        lag(said) over (partition by subscription_id, subscription_item_id order by valid_from) as said_before
    from described

),

changes as (

    select
        *,
        coalesce(
            lead(valid_from) over (partition by subscription_id, subscription_item_id order by valid_from),
            {{ end_of_time() }}
        ) as valid_to,
        row_number() over (partition by subscription_id, subscription_item_id order by valid_from) as change_number
    from compared
    where
        said_before is null
        or said != said_before

)

select
    changes.subscription_id,
    changes.subscription_item_id,
    case
        when changes.change_number = 1 and subscription_items.created_at < changes.valid_from
            then subscription_items.created_at
        else changes.valid_from
    end as valid_from,
    changes.valid_to,
    changes.price_id,
    changes.currency,
    changes.quantity,
    changes.cycle_minor_units,
    changes.cycle_interval,
    changes.cycle_interval_count,
    changes.taxed_minor_units,
    changes.tax_minor_units,
    changes.inclusive_tax_percentage
from changes
left join subscription_items
    on changes.subscription_item_id = subscription_items.subscription_item_id
where changes.is_present
