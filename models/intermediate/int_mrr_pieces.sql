{#- Twenty discounts can be on one invoice: so many groups of so many. -#}
{%- set groups, in_group = 5, 4 %}

with

conditions as (

    select * from {{ ref('int_subscription_conditions') }}

),

items as (

    select * from {{ ref('int_item_stretches') }}

),

discounts as (

    select * from {{ ref('int_discount_stretches') }}

),

versions as (

    select * from {{ ref('int_subscription_versions') }}
    where is_newest

),

billed_items as (

    select * from {{ ref('int_billed_items') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

prices as (

    select * from {{ ref('int_prices') }}

),

price_amounts as (

    select * from {{ ref('int_price_amounts') }}

),

coupon_products as (

    select * from {{ ref('stg_stripe__coupon_products') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

syncs as (

    select * from {{ ref('int_billing_syncs') }}

),

-- Between two of these instants nothing changes.
instants as (

    {% for relation in ['conditions', 'items', 'discounts'] -%}
    select
        subscription_id,
        valid_from as changed_at
    from {{ relation }}

    union distinct

    select
        subscription_id,
        valid_to as changed_at
    from {{ relation }}

    union distinct

    {% endfor -%}
    select
        subscription_id,
        first_observed_at as changed_at
    from versions

),

-- What lies ahead is not known to happen.
known_instants as (

    select
        instants.subscription_id,
        instants.changed_at
    from instants
    cross join syncs
    where instants.changed_at <= syncs.as_of_at

),

spans as (

    select
        subscription_id,
        changed_at as valid_from,
        coalesce(
            lead(changed_at) over (partition by subscription_id order by changed_at), {{ end_of_time() }}
        ) as valid_to
    from known_instants

),

statuses as (

    select
        spans.subscription_id,
        spans.valid_from,
        spans.valid_to,
        max(
            case when conditions.condition in ('active', 'past_due', 'unpaid') then conditions.condition end
        ) as status,
        max(case when conditions.condition = 'asked_to_end' then 1 else 0 end) = 1 as is_asked_to_end,
        max(case when conditions.condition = 'collection_paused' then 1 else 0 end) = 1 as is_collection_paused
    from spans
    inner join conditions
        on
            spans.subscription_id = conditions.subscription_id
            and spans.valid_from >= conditions.valid_from
            and spans.valid_from < conditions.valid_to
    group by spans.subscription_id, spans.valid_from, spans.valid_to

),

span_items as (

    select
        statuses.*,
        items.subscription_item_id,
        items.price_id,
        prices.product_id,
        items.currency,
        items.quantity,
        coalesce(price_amounts.cycle_minor_units, items.cycle_minor_units, 0) as cycle_minor_units,
        coalesce(prices.billing_interval, items.cycle_interval) as billing_interval,
        coalesce(prices.billing_interval_count, items.cycle_interval_count, 1) as billing_interval_count,
        items.inclusive_tax_percentage,
        items.taxed_minor_units,
        items.tax_minor_units
    from statuses
    inner join items
        on
            statuses.subscription_id = items.subscription_id
            and statuses.valid_from >= items.valid_from
            and statuses.valid_from < items.valid_to
    left join prices
        on items.price_id = prices.price_id
    left join price_amounts
        on
            items.price_id = price_amounts.price_id
            and items.currency = price_amounts.currency
            and coalesce(items.quantity, 1) = price_amounts.quantity
    where
        statuses.status is not null
        and coalesce(prices.usage_type, 'licensed') = 'licensed'
        and coalesce(prices.billing_interval, items.cycle_interval) is not null

),

span_discounts as (

    select
        spans.valid_from as span_from,
        discounts.*,
        max(case when discounts.is_of_customer then 0 else 1 end) over (
            partition by spans.subscription_id, spans.valid_from
        ) = 1 as has_own
    from spans
    inner join discounts
        on
            spans.subscription_id = discounts.subscription_id
            and spans.valid_from >= discounts.valid_from
            and spans.valid_from < discounts.valid_to

),

-- A customer's discount is for subscriptions without one of their own.
item_discounts as (

    select
        span_items.subscription_id,
        span_items.subscription_item_id,
        span_items.valid_from,
        span_discounts.discount_id,
        span_discounts.subscription_item_id is not null as is_of_item,
        span_discounts.is_recurring,
        span_discounts.percent_off,
        span_discounts.amount_off_minor_units
    from span_items
    inner join span_discounts
        on
            span_items.subscription_id = span_discounts.subscription_id
            and span_items.valid_from = span_discounts.span_from
    left join coupon_products
        on
            span_discounts.coupon_id = coupon_products.coupon_id
            and span_items.product_id = coupon_products.product_id
    where
        (
            span_discounts.subscription_item_id is null
            or span_discounts.subscription_item_id = span_items.subscription_item_id
        )
        and not (span_discounts.is_of_customer and span_discounts.has_own)
        and (not span_discounts.has_product_limits or coupon_products.product_id is not null)

),

settings as (

    select 'recurring' as discounts

    union all

    select 'all' as discounts

    union all

    select 'none' as discounts

),

chosen_discounts as (

    select
        settings.discounts,
        item_discounts.*,
        row_number() over (
            partition by
                settings.discounts,
                item_discounts.subscription_id,
                item_discounts.subscription_item_id,
                item_discounts.valid_from,
                item_discounts.percent_off is null
            order by item_discounts.discount_id
        ) as discount_number
    from item_discounts
    inner join settings
        on settings.discounts = 'all' or (settings.discounts = 'recurring' and item_discounts.is_recurring)

),

percentages as (

    select
        discounts,
        subscription_id,
        subscription_item_id,
        valid_from,
        {% for number in range(groups * in_group) -%}
        max(
            case
                when discount_number = {{ number + 1 }}
                    then {{ exact_share('100 - percent_off', 1, 100) }}
            end
        ) as part_{{ number }},
        {% endfor -%}
        count(*) as percentages
    from chosen_discounts
    where percent_off is not null
    group by discounts, subscription_id, subscription_item_id, valid_from

),

before_discounts as (

    select
        settings.discounts,
        span_items.*,
        span_items.cycle_minor_units as left_minor_units_0
    from span_items
    cross join settings

),

-- Percentages one after the other, each of what the ones before have left.
{% for group in range(1, groups + 1) -%}
{%- set before = 'before_discounts' if loop.first else 'after_group_' ~ (group - 1) -%}
after_group_{{ group }} as (

    select
        {{ before }}.*,
        {%- set amount = namespace(sql=before ~ '.left_minor_units_' ~ (group - 1)) %}
        {%- for number in range((group - 1) * in_group, group * in_group) %}
        {%- set amount.sql = exact_product(amount.sql, 'coalesce(percentages.part_' ~ number ~ ', 1)') %}
        {%- endfor %}
        {{ amount.sql }} as left_minor_units_{{ group }}
    from {{ before }}
    left join percentages
        on
            {{ before }}.discounts = percentages.discounts
            and {{ before }}.subscription_id = percentages.subscription_id
            and {{ before }}.subscription_item_id = percentages.subscription_item_id
            and {{ before }}.valid_from = percentages.valid_from

),

{% endfor -%}
reduced as (

    select
        *,
        left_minor_units_{{ groups }} as reduced_minor_units
    from after_group_{{ groups }}

),

-- An amount is taken off once a cycle, from the items that it is for together.
pools as (

    select
        reduced.discounts,
        reduced.subscription_id,
        reduced.subscription_item_id,
        reduced.valid_from,
        reduced.reduced_minor_units,
        chosen_discounts.amount_off_minor_units,
        sum(reduced.reduced_minor_units) over (
            partition by
                reduced.discounts,
                reduced.subscription_id,
                reduced.valid_from,
                reduced.billing_interval,
                reduced.billing_interval_count,
                chosen_discounts.discount_id,
                case when chosen_discounts.is_of_item then reduced.subscription_item_id end
        ) as pool_minor_units
    from reduced
    inner join chosen_discounts
        on
            reduced.discounts = chosen_discounts.discounts
            and reduced.subscription_id = chosen_discounts.subscription_id
            and reduced.subscription_item_id = chosen_discounts.subscription_item_id
            and reduced.valid_from = chosen_discounts.valid_from
    where
        chosen_discounts.percent_off is null
        and chosen_discounts.amount_off_minor_units > 0

),

deductions as (

    select
        discounts,
        subscription_id,
        subscription_item_id,
        valid_from,
        sum(
            case
                when pool_minor_units <= amount_off_minor_units then reduced_minor_units
                else
                    {{ exact_share('reduced_minor_units', 'amount_off_minor_units', 'pool_minor_units') }}
            end
        ) as off_minor_units
    from pools
    group by discounts, subscription_id, subscription_item_id, valid_from

),

-- A month is 1/12 of a year, a year is 365 days or 52 weeks. A tax that is part of the price is divided out.
rates as (

    select
        reduced.*,
        greatest(reduced.reduced_minor_units - coalesce(deductions.off_minor_units, 0), 0) as charged_minor_units,
        case reduced.billing_interval
            when 'day' then 365
            when 'week' then 52
            when 'month' then 12
            else 1
        end as cycles_a_year,
        case
            when reduced.inclusive_tax_percentage is not null then 1000000
            when reduced.tax_minor_units > 0 then reduced.taxed_minor_units - reduced.tax_minor_units
            else 1
        end as net_part,
        case
            when reduced.inclusive_tax_percentage is not null
                then 1000000 + cast(reduced.inclusive_tax_percentage * 10000 as int64)
            when reduced.tax_minor_units > 0 then reduced.taxed_minor_units
            else 1
        end as gross_part
    from reduced
    left join deductions
        on
            reduced.discounts = deductions.discounts
            and reduced.subscription_id = deductions.subscription_id
            and reduced.subscription_item_id = deductions.subscription_item_id
            and reduced.valid_from = deductions.valid_from

),

billed_customers as (

    select
        billed_items.subscription_id,
        max(invoices.customer_id) as customer_id
    from billed_items
    inner join invoices
        on billed_items.invoice_id = invoices.invoice_id
    group by billed_items.subscription_id

),

-- Powers of ten would be inexact numbers.
units as (

    select
        currency,
        case exponent
            when 0 then cast('1' as {{ exact_type() }})
            when 2 then cast('0.01' as {{ exact_type() }})
            when 3 then cast('0.001' as {{ exact_type() }})
        end as minor_unit
    from currencies

),

monthly as (

    select
        rates.*,
        {{ exact_share(
            'rates.charged_minor_units',
            'rates.cycles_a_year * rates.net_part',
            '12 * rates.billing_interval_count * rates.gross_part'
        ) }} as monthly_minor_units,
        {{ exact_share('rates.charged_minor_units', 'rates.net_part', 'rates.gross_part') }} as net_cycle_minor_units
    from rates

)

select
    monthly.discounts,
    monthly.subscription_id,
    monthly.subscription_item_id,
    monthly.valid_from,
    monthly.valid_to,
    coalesce(versions.customer_id, billed_customers.customer_id, monthly.subscription_id) as customer_key,
    monthly.currency,
    monthly.price_id,
    monthly.quantity,
    monthly.status,
    monthly.is_asked_to_end,
    monthly.is_collection_paused,
    case when monthly.valid_from >= versions.first_observed_at then 'observed' else 'reconstructed' end as provenance,
    {{ exact_product('monthly.net_cycle_minor_units', 'units.minor_unit') }} as cycle_amount,
    {{ exact_product('monthly.monthly_minor_units', 'units.minor_unit') }} as monthly_amount
from monthly
inner join units
    on monthly.currency = units.currency
left join versions
    on monthly.subscription_id = versions.subscription_id
left join billed_customers
    on monthly.subscription_id = billed_customers.subscription_id
