{%- set settings = ['churn_at', 'past_due', 'unpaid', 'collection_paused', 'discounts'] %}

with

-- What is so now.
pieces as (

    select * from {{ ref('int_mrr_pieces') }}
    where valid_to = {{ end_of_time() }}

),

policies as (

    select * from {{ ref('mrr_policies') }}

),

-- From the first policy to the other one, setting by setting.
steps as (

    {% for step in range(settings | length + 1) -%}
    select
        before.policy_key as from_policy_key,
        after.policy_key as to_policy_key,
        {{ step }} as step,
        '{{ settings[step - 1] if step else 'none' }}' as reason,
        {% for setting in settings -%}
        {{ 'after' if loop.index <= step else 'before' }}.{{ setting }},
        {% endfor -%}
        {{ step }} = {{ settings | length }} as is_last
    from policies as before
    inner join policies as after
        on before.policy_key != after.policy_key
    where before.policy_key = 'stripe'
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

amounts as (

    select
        steps.from_policy_key,
        steps.to_policy_key,
        steps.step,
        steps.reason,
        pieces.customer_key,
        pieces.currency,
        sum(
            case
                when pieces.status = 'past_due' and steps.past_due = 'leaves' then 0
                when pieces.status = 'unpaid' and steps.unpaid = 'leaves' then 0
                when pieces.is_collection_paused and steps.collection_paused = 'leaves' then 0
                when pieces.is_asked_to_end and steps.churn_at = 'request' then 0
                else pieces.monthly_amount
            end
        ) as mrr_amount
    from steps
    inner join pieces
        on steps.discounts = pieces.discounts
    group by
        steps.from_policy_key,
        steps.to_policy_key,
        steps.step,
        steps.reason,
        pieces.customer_key,
        pieces.currency

),

compared as (

    select
        *,
        mrr_amount - lag(mrr_amount) over customer as difference_amount,
        first_value(mrr_amount) over (
            partition by from_policy_key, to_policy_key, customer_key, currency
            order by step
            rows between unbounded preceding and unbounded following
        ) as from_mrr_amount,
        last_value(mrr_amount) over (
            partition by from_policy_key, to_policy_key, customer_key, currency
            order by step
            rows between unbounded preceding and unbounded following
        ) as to_mrr_amount
    from amounts
    window customer as (
        partition by from_policy_key, to_policy_key, customer_key, currency order by step
    )

)

select
    from_policy_key,
    to_policy_key,
    customer_key,
    currency,
    reason,
    cast(from_mrr_amount as {{ exact_type() }}) as from_mrr_amount,
    cast(to_mrr_amount as {{ exact_type() }}) as to_mrr_amount,
    cast(difference_amount as {{ exact_type() }}) as difference_amount,
    {{ built_at() }} as created_at
from compared
where difference_amount != 0
