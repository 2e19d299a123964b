with

prices as (

    select * from {{ ref('stg_stripe__prices') }}

),

version_items as (

    select * from {{ ref('stg_stripe__subscription_version_items') }}

),

subscription_items as (

    select * from {{ ref('stg_stripe__subscription_items') }}

),

{% set columns = [
    'price_id',
    'product_id',
    'currency',
    'billing_scheme',
    'tiers_mode',
    'exact_unit_amount_minor_units',
    'transform_divide_by',
    'transform_round',
    'billing_interval',
    'billing_interval_count',
    'usage_type',
] -%}
known as (

    {% for relation in ['prices', 'version_items', 'subscription_items'] -%}
    select
        {% for column in columns -%}
        {{ column }},
        {% endfor -%}
        {{ loop.index }} as source_rank,
        requested_at
    from {{ relation }}
    where price_id is not null
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

-- What a price costs never changes; where prices cannot be read, the items tell it.
ranked as (

    select
        *,
        row_number() over (
            partition by price_id
            order by source_rank asc, requested_at desc, billing_interval asc, currency asc
        ) as copy_number
    from known

)

select {{ columns | join(', ') }}
from ranked
where copy_number = 1
