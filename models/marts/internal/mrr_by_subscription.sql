with

intervals as (

    select * from {{ ref('int_mrr_intervals') }}

)

select
    policy_key,
    subscription_id,
    subscription_item_id,
    customer_key,
    currency,
    valid_from as valid_from_at,
    valid_to as valid_to_at,
    first_date,
    end_date,
    cast(monthly_amount as {{ exact_type() }}) as mrr_amount,
    provenance,
    {{ built_at() }} as created_at
from intervals
