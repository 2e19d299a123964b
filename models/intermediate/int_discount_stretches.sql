with

versions as (

    select * from {{ ref('int_subscription_versions') }}

),

version_discounts as (

    select * from {{ ref('stg_stripe__subscription_version_discounts') }}

),

subscription_discounts as (

    select * from {{ ref('stg_stripe__subscription_discounts') }}

),

coupons as (

    select * from {{ ref('stg_stripe__coupons') }}

),

currency_options as (

    select * from {{ ref('stg_stripe__coupon_currency_options') }}

),

customers as (

    select * from {{ ref('stg_stripe__customers') }}

),

billed_items as (

    select * from {{ ref('int_billed_items') }}
    where
        not is_proration
        and not is_given_back

),

seen as (

    {% for relation, condition in [
        ('version_discounts', 'versions.version_id = discounts.version_id'),
        (
            'subscription_discounts',
            'versions.subscription_id = discounts.subscription_id and versions.version_id = versions.subscription_id',
        ),
    ] -%}
    select
        versions.subscription_id,
        versions.version_number,
        versions.next_seen_at,
        versions.currency as billing_currency,
        discounts.subscription_item_id,
        coalesce(discounts.discount_id, discounts.coupon_id) as discount_id,
        discounts.coupon_id,
        discounts.percent_off,
        discounts.amount_off_minor_units,
        discounts.currency,
        discounts.duration,
        coalesce(discounts.started_at, versions.created_at) as started_at,
        discounts.ends_at
    from versions
    inner join {{ relation }} as discounts
        on {{ condition }}
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

-- It ends when it says so, or when it is seen no more.
last_seen as (

    select
        *,
        min(started_at) over (
            partition by subscription_id, subscription_item_id, discount_id
        ) as valid_from,
        row_number() over (
            partition by subscription_id, subscription_item_id, discount_id order by version_number desc
        ) as copy_number
    from seen

),

of_subscriptions as (

    select
        subscription_id,
        subscription_item_id,
        discount_id,
        coupon_id,
        percent_off,
        amount_off_minor_units,
        currency,
        duration,
        billing_currency,
        valid_from,
        least(coalesce(ends_at, {{ end_of_time() }}), next_seen_at) as valid_to,
        false as is_of_customer
    from last_seen
    where copy_number = 1

),

of_customers as (

    select
        versions.subscription_id,
        cast(null as string) as subscription_item_id,
        customers.discount_id,
        customers.discount_coupon_id as coupon_id,
        customers.discount_percent_off as percent_off,
        customers.discount_amount_off_minor_units as amount_off_minor_units,
        customers.discount_currency as currency,
        customers.discount_duration as duration,
        versions.currency as billing_currency,
        coalesce(customers.discount_started_at, versions.created_at) as valid_from,
        coalesce(customers.discount_ends_at, {{ end_of_time() }}) as valid_to,
        true as is_of_customer
    from versions
    inner join customers
        on versions.customer_id = customers.customer_id
    where
        versions.is_newest
        and customers.discount_coupon_id is not null

),

given as (

    select * from of_subscriptions

    union all

    select * from of_customers

),

described as (

    select
        given.subscription_id,
        given.subscription_item_id,
        given.discount_id,
        given.coupon_id,
        given.is_of_customer,
        given.valid_from,
        given.valid_to,
        coalesce(given.percent_off, coupons.percent_off) as percent_off,
        case
            when given.billing_currency = coalesce(given.currency, coupons.currency)
                then coalesce(given.amount_off_minor_units, coupons.amount_off_minor_units)
            else currency_options.amount_off_minor_units
        end as amount_off_minor_units,
        coalesce(given.duration, coupons.duration, 'forever') as duration,
        coalesce(coupons.has_product_limits, false) as has_product_limits
    from given
    left join coupons
        on given.coupon_id = coupons.coupon_id
    left join currency_options
        on
            given.coupon_id = currency_options.coupon_id
            and given.billing_currency = currency_options.currency

),

-- One for a single invoice is for the period of the first one after it was given.
single_periods as (

    select
        described.subscription_id,
        described.discount_id,
        billed_items.period_start_at,
        billed_items.period_end_at,
        row_number() over (
            partition by described.subscription_id, described.discount_id
            order by billed_items.period_start_at asc, billed_items.period_end_at desc
        ) as period_number
    from described
    inner join billed_items
        on
            described.subscription_id = billed_items.subscription_id
            and described.valid_from <= billed_items.period_start_at
    where
        described.duration = 'once'
        and billed_items.discount_minor_units > 0

),

ruled as (

    select
        described.subscription_id,
        described.subscription_item_id,
        described.discount_id,
        described.coupon_id,
        described.has_product_limits,
        described.is_of_customer,
        described.duration != 'once' as is_recurring,
        coalesce(single_periods.period_start_at, described.valid_from) as valid_from,
        coalesce(single_periods.period_end_at, described.valid_to) as valid_to,
        described.percent_off,
        described.amount_off_minor_units
    from described
    left join single_periods
        on
            described.subscription_id = single_periods.subscription_id
            and described.discount_id = single_periods.discount_id
            and single_periods.period_number = 1
    where
        described.duration != 'once'
        or single_periods.period_number = 1

),

-- What invoices took off before anybody could see why.
unexplained as (

    select
        billed_items.subscription_id,
        billed_items.subscription_item_id,
        billed_items.period_start_at,
        billed_items.period_end_at,
        billed_items.discount_minor_units,
        count(*) over (
            partition by billed_items.subscription_id, billed_items.subscription_item_id
        ) as invoices
    from billed_items
    left join ruled
        on
            billed_items.subscription_id = ruled.subscription_id
            and billed_items.period_start_at >= ruled.valid_from
            and billed_items.period_start_at < ruled.valid_to
    where
        billed_items.discount_minor_units > 0
        and ruled.subscription_id is null

)

select
    subscription_id,
    subscription_item_id,
    discount_id,
    coupon_id,
    has_product_limits,
    is_of_customer,
    is_recurring,
    valid_from,
    valid_to,
    percent_off,
    amount_off_minor_units
from ruled
where valid_from < valid_to

union all

select
    subscription_id,
    subscription_item_id,
    concat('invoiced/', subscription_item_id) as discount_id,
    cast(null as string) as coupon_id,
    false as has_product_limits,
    false as is_of_customer,
    invoices > 1 as is_recurring,
    period_start_at as valid_from,
    period_end_at as valid_to,
    cast(null as {{ exact_type() }}) as percent_off,
    discount_minor_units as amount_off_minor_units
from unexplained
