with

converted as (

    select
        policy_key,
        reporting_currency,
        mrr_date,
        mrr_amount,
        rate_effect_amount
        {%- for movement in mrr_movements() %}
        + {{ movement }}_amount
        {%- endfor %} as movements,
        lag(mrr_amount) over (partition by policy_key, reporting_currency order by mrr_date) as mrr_before,
        lag(state) over (partition by policy_key, reporting_currency order by mrr_date) as state_before,
        state
    from {{ ref('daily_mrr_converted') }}

)

-- Each amount is rounded at its twelfth decimal by itself.
select *
from converted
where
    state = 'ok'
    and coalesce(state_before, 'ok') = 'ok'
    and abs(mrr_amount - coalesce(mrr_before, 0) - movements) > 0.000000001
