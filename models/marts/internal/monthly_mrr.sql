with

daily as (

    select * from {{ ref('daily_mrr') }}

),

changes as (

    select * from {{ ref('int_customer_mrr_changes') }}

),

months as (

    select
        policy_key,
        currency,
        {{ period_start('month', 'mrr_date') }} as month_start_date,
        max(mrr_date) as last_date
    from daily
    group by policy_key, currency, {{ period_start('month', 'mrr_date') }}

),

ends as (

    select
        months.policy_key,
        months.currency,
        months.month_start_date,
        months.last_date,
        daily.mrr_amount,
        daily.arr_amount,
        daily.paying_customers,
        daily.reconstructed_amount,
        daily.provenance,
        coalesce(lag(daily.mrr_amount) over until_now, 0) as opening_amount,
        coalesce(lag(daily.paying_customers) over until_now, 0) as opening_customers
    from months
    inner join daily
        on
            months.policy_key = daily.policy_key
            and months.currency = daily.currency
            and months.last_date = daily.mrr_date
    window until_now as (
        partition by months.policy_key, months.currency order by months.month_start_date
    )

),

customer_changes as (

    select
        policy_key,
        customer_key,
        currency,
        {{ period_start('month', 'change_date') }} as month_start_date,
        mrr_before,
        mrr_after,
        movement = 'new' as is_first,
        row_number() over (
            partition by policy_key, customer_key, currency, {{ period_start('month', 'change_date') }}
            order by change_date
        ) as number_from_first,
        row_number() over (
            partition by policy_key, customer_key, currency, {{ period_start('month', 'change_date') }}
            order by change_date desc
        ) as number_from_last
    from changes

),

-- What a customer came and went within a month is no movement of the month.
customer_months as (

    select
        policy_key,
        customer_key,
        currency,
        month_start_date,
        max(case when is_first then 1 else 0 end) = 1 as is_new,
        sum(case when number_from_first = 1 then mrr_before else 0 end) as mrr_before,
        sum(case when number_from_last = 1 then mrr_after else 0 end) as mrr_after
    from customer_changes
    group by policy_key, customer_key, currency, month_start_date

),

movements as (

    select
        *,
        mrr_after - mrr_before as difference,
        case
            when mrr_after = mrr_before then 'none'
            when mrr_before = 0 and is_new then 'new'
            when mrr_before = 0 then 'reactivated'
            when mrr_after = 0 then 'churned'
            when mrr_after > mrr_before then 'expansion'
            else 'contraction'
        end as movement
    from customer_months

),

sums as (

    select
        policy_key,
        currency,
        month_start_date,
        {% for movement in mrr_movements() -%}
        sum(case when movement = '{{ movement }}' then difference else 0 end) as {{ movement }}_amount,
        {% endfor -%}
        sum(case when movement in ('new', 'reactivated') then 1 else 0 end) as won_customers,
        sum(case when movement = 'churned' then 1 else 0 end) as churned_customers
    from movements
    group by policy_key, currency, month_start_date

),

filled as (

    select
        ends.*,
        {% for movement in mrr_movements() -%}
        coalesce(sums.{{ movement }}_amount, 0) as {{ movement }}_amount,
        {% endfor -%}
        coalesce(sums.won_customers, 0) as won_customers,
        coalesce(sums.churned_customers, 0) as churned_customers
    from ends
    left join sums
        on
            ends.policy_key = sums.policy_key
            and ends.currency = sums.currency
            and ends.month_start_date = sums.month_start_date

)

select
    policy_key,
    month_start_date,
    last_date,
    currency,
    cast(opening_amount as {{ exact_type() }}) as opening_amount,
    mrr_amount,
    arr_amount,
    {% for movement in mrr_movements() -%}
    cast({{ movement }}_amount as {{ exact_type() }}) as {{ movement }}_amount,
    {% endfor -%}
    cast(opening_customers as int64) as opening_customers,
    paying_customers,
    cast(won_customers as int64) as won_customers,
    cast(churned_customers as int64) as churned_customers,
    {{ ratio('new_amount + expansion_amount + reactivated_amount', '-(contraction_amount + churned_amount)') }}
        as quick_ratio,
    {{ percentage('(opening_amount + expansion_amount + contraction_amount + churned_amount)', 'opening_amount') }}
        as net_revenue_retention_percentage,
    {{ percentage('(opening_amount + contraction_amount + churned_amount)', 'opening_amount') }}
        as gross_revenue_retention_percentage,
    {{ percentage('churned_customers', 'opening_customers') }} as logo_churn_percentage,
    reconstructed_amount,
    provenance,
    {{ built_at() }} as created_at
from filled
