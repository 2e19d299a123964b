{%- set reasons = ['proration', 'single_discount', 'not_counted', 'unexplained', 'rounding'] %}

with

lines as (

    select * from {{ ref('int_licensed_lines') }}
    where invoice_status not in ('draft', 'void')

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

pieces as (

    select * from {{ ref('int_mrr_pieces') }}

),

policies as (

    select * from {{ ref('mrr_policies') }}
    where policy_key = 'stripe'

),

currencies as (

    select * from {{ ref('currencies') }}

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

billed as (

    select
        invoice_id,
        subscription_id,
        subscription_item_id,
        currency,
        is_proration,
        period_start_at,
        max(period_end_at) as period_end_at,
        count(*) as billed_lines,
        sum(amount_minor_units - discount_minor_units - inclusive_tax_minor_units) as net_minor_units
    from lines
    group by
        invoice_id,
        subscription_id,
        subscription_item_id,
        currency,
        is_proration,
        period_start_at

),

-- A cycle goes on until it ends or the item is billed anew.
cycles as (

    select
        *,
        least(
            period_end_at,
            coalesce(
                lead(period_start_at) over (
                    partition by subscription_id, subscription_item_id, is_proration
                    order by period_start_at, invoice_id
                ),
                period_end_at
            )
        ) as billed_until_at
    from billed

),

counted as (

    select pieces.*
    from pieces
    inner join policies
        on pieces.discounts = policies.discounts
    where
        (pieces.status != 'past_due' or policies.past_due = 'counts')
        and (pieces.status != 'unpaid' or policies.unpaid = 'counts')
        and (not pieces.is_collection_paused or policies.collection_paused = 'counts')
        and (not pieces.is_asked_to_end or policies.churn_at = 'period_end')

),

after_all_discounts as (

    select * from pieces
    where discounts = 'all'

),

-- What MRR says when the cycle begins; where it says nothing yet, when it first does.
compared as (

    select
        cycles.*,
        counted.cycle_amount as counted_amount,
        after_all_discounts.cycle_amount as discounted_amount,
        row_number() over (
            partition by cycles.invoice_id, cycles.subscription_item_id, cycles.is_proration, cycles.period_start_at
            order by counted.valid_from
        ) as piece_number
    from cycles
    left join counted
        on
            cycles.subscription_id = counted.subscription_id
            and cycles.subscription_item_id = counted.subscription_item_id
            and cycles.period_start_at < counted.valid_to
            and cycles.billed_until_at > counted.valid_from
            and not cycles.is_proration
    left join after_all_discounts
        on
            counted.subscription_id = after_all_discounts.subscription_id
            and counted.subscription_item_id = after_all_discounts.subscription_item_id
            and counted.valid_from = after_all_discounts.valid_from

),

items as (

    select
        compared.invoice_id,
        compared.subscription_id,
        compared.currency,
        compared.is_proration,
        compared.period_start_at,
        compared.period_end_at,
        compared.billed_lines,
        compared.counted_amount,
        compared.discounted_amount,
        units.minor_unit,
        {{ exact_product('cast(compared.net_minor_units as ' ~ exact_type() ~ ')', 'units.minor_unit') }} as net_amount
    from compared
    inner join units
        on compared.currency = units.currency
    where compared.piece_number = 1

),

sums as (

    select
        invoice_id,
        subscription_id,
        currency,
        min(period_start_at) as period_start_at,
        max(period_end_at) as period_end_at,
        sum(billed_lines) * max(minor_unit) as most_rounded_amount,
        sum(coalesce(counted_amount, 0)) as cycle_amount,
        sum(net_amount) as invoiced_amount,
        sum(case when is_proration then net_amount else 0 end) as proration_amount,
        sum(coalesce(discounted_amount - counted_amount, 0)) as single_discount_amount,
        sum(
            case when counted_amount is null and not is_proration then net_amount else 0 end
        ) as not_counted_amount
    from items
    group by invoice_id, subscription_id, currency

),

explained as (

    select
        *,
        invoiced_amount - cycle_amount - proration_amount - single_discount_amount - not_counted_amount as left_amount
    from sums

),

-- Stripe rounds each line, MRR nothing. That is told beside another reason only.
told as (

    select
        *,
        case when abs(left_amount) < most_rounded_amount then 0 else left_amount end as unexplained_amount,
        case
            when abs(left_amount) >= most_rounded_amount then 0
            when proration_amount = 0 and single_discount_amount = 0 and not_counted_amount = 0 then 0
            else left_amount
        end as rounding_amount
    from explained

),

differences as (

    {% for reason in reasons -%}
    select
        invoice_id,
        subscription_id,
        currency,
        period_start_at,
        period_end_at,
        '{{ reason }}' as reason,
        cycle_amount,
        invoiced_amount,
        {{ reason }}_amount as difference_amount
    from told
    where {{ reason }}_amount != 0
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

)

select
    differences.invoice_id,
    differences.subscription_id,
    coalesce(invoices.customer_id, differences.subscription_id) as customer_key,
    differences.currency,
    {{ reporting_date('coalesce(invoices.finalized_at, invoices.created_at)') }} as invoice_date,
    differences.period_start_at,
    differences.period_end_at,
    differences.reason,
    cast(differences.cycle_amount as {{ exact_type() }}) as cycle_amount,
    cast(differences.invoiced_amount as {{ exact_type() }}) as invoiced_amount,
    cast(differences.difference_amount as {{ exact_type() }}) as difference_amount,
    {{ built_at() }} as created_at
from differences
inner join invoices
    on differences.invoice_id = invoices.invoice_id
