with

changes as (

    select * from {{ ref('int_customer_mrr_changes') }}

),

policies as (

    select * from {{ ref('mrr_policies') }}

),

syncs as (

    select * from {{ ref('int_billing_syncs') }}

),

ranges as (

    select
        changes.currency,
        min(changes.change_date) as first_date,
        greatest(max(changes.change_date), max(syncs.as_of_date)) as last_date
    from changes
    cross join syncs
    group by changes.currency

),

range_days as (

    select
        ranges.currency,
        cast(range_day as date) as mrr_date
    from ranges
    cross join {{ unnested_days('ranges.first_date', 'ranges.last_date', 'range_day') }}

),

spine as (

    select
        policies.policy_key,
        range_days.currency,
        range_days.mrr_date
    from range_days
    cross join policies

),

days as (

    select
        policy_key,
        currency,
        change_date,
        {% for movement in mrr_movements() -%}
        sum(case when movement = '{{ movement }}' then mrr_after - mrr_before else 0 end) as {{ movement }}_amount,
        {% endfor -%}
        sum(mrr_after - mrr_before) as difference,
        sum(reconstructed_difference) as reconstructed_difference,
        sum(
            case
                when mrr_before = 0 and mrr_after > 0 then 1
                when mrr_before > 0 and mrr_after = 0 then -1
                else 0
            end
        ) as customers_difference
    from changes
    group by policy_key, currency, change_date

),

totals as (

    select
        spine.policy_key,
        spine.currency,
        spine.mrr_date,
        {% for movement in mrr_movements() -%}
        coalesce(days.{{ movement }}_amount, 0) as {{ movement }}_amount,
        {% endfor -%}
        sum(coalesce(days.difference, 0)) over so_far as mrr_amount,
        sum(coalesce(days.reconstructed_difference, 0)) over so_far as reconstructed_amount,
        sum(coalesce(days.customers_difference, 0)) over so_far as paying_customers
    from spine
    left join days
        on
            spine.policy_key = days.policy_key
            and spine.currency = days.currency
            and spine.mrr_date = days.change_date
    window so_far as (
        partition by spine.policy_key, spine.currency
        order by spine.mrr_date
        rows between unbounded preceding and current row
    )

)

select
    policy_key,
    mrr_date,
    currency,
    cast(mrr_amount as {{ exact_type() }}) as mrr_amount,
    cast(12 * mrr_amount as {{ exact_type() }}) as arr_amount,
    cast(paying_customers as int64) as paying_customers,
    {% for movement in mrr_movements() -%}
    cast({{ movement }}_amount as {{ exact_type() }}) as {{ movement }}_amount,
    {% endfor -%}
    cast(reconstructed_amount as {{ exact_type() }}) as reconstructed_amount,
    case
        when reconstructed_amount = 0 then 'observed'
        when reconstructed_amount = mrr_amount then 'reconstructed'
        else 'partly reconstructed'
    end as provenance,
    {{ built_at() }} as created_at
from totals
