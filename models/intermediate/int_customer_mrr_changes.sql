with

intervals as (

    select * from {{ ref('int_mrr_intervals') }}
    where
        end_date is null
        or first_date < end_date

),

-- What begins counts on its first day's end; what ends counts no more on the day on which it ends.
edges as (

    select
        policy_key,
        customer_key,
        currency,
        first_date as change_date,
        monthly_amount as difference,
        case when provenance = 'reconstructed' then monthly_amount else 0 end as reconstructed_difference
    from intervals

    union all

    select
        policy_key,
        customer_key,
        currency,
        end_date as change_date,
        -monthly_amount as difference,
        case when provenance = 'reconstructed' then -monthly_amount else 0 end as reconstructed_difference
    from intervals
    where end_date is not null

),

days as (

    select
        policy_key,
        customer_key,
        currency,
        change_date,
        sum(difference) as difference,
        sum(reconstructed_difference) as reconstructed_difference
    from edges
    group by policy_key, customer_key, currency, change_date

),

states as (

    select
        *,
        sum(difference) over (
            partition by policy_key, customer_key, currency
            order by change_date
            rows between unbounded preceding and current row
        ) as mrr_after,
        row_number() over (
            partition by policy_key, customer_key, currency order by change_date
        ) as change_number
    from days
    where
        difference != 0
        or reconstructed_difference != 0

)

select
    policy_key,
    customer_key,
    currency,
    change_date,
    cast(mrr_after - difference as {{ exact_type() }}) as mrr_before,
    cast(mrr_after as {{ exact_type() }}) as mrr_after,
    cast(reconstructed_difference as {{ exact_type() }}) as reconstructed_difference,
    case
        when difference = 0 then 'none'
        when change_number = 1 then 'new'
        when mrr_after = difference then 'reactivated'
        when mrr_after = 0 then 'churned'
        when difference > 0 then 'expansion'
        else 'contraction'
    end as movement
from states
