with

daily as (

    select * from {{ ref('daily_mrr') }}

),

fx_rates as (

    select * from {{ ref('fx_rates') }}

),

reporting_currencies as (

    select reporting_currency
    from fx_rates
    group by reporting_currency

),

-- A rate holds until the next one.
held as (

    select
        currency,
        reporting_currency,
        rate,
        rate_date as first_date,
        lead(rate_date) over (partition by currency, reporting_currency order by rate_date) as end_date
    from fx_rates

),

rated as (

    select
        daily.*,
        reporting_currencies.reporting_currency,
        case
            when daily.currency = reporting_currencies.reporting_currency
                then cast(1 as {{ exact_type() }})
            else cast(held.rate as {{ exact_type() }})
        end as rate
    from daily
    cross join reporting_currencies
    left join held
        on
            daily.currency = held.currency
            and reporting_currencies.reporting_currency = held.reporting_currency
            and daily.mrr_date >= held.first_date
            and (held.end_date is null or daily.mrr_date < held.end_date)

),

-- A currency without a rate lacks in the sum, which is then not known.
converted as (

    select
        policy_key,
        mrr_date,
        currency,
        reporting_currency,
        mrr_amount != 0 and rate is null as lacks_rate,
        {{ exact_product('mrr_amount', 'coalesce(rate, 0)') }} as mrr_amount,
        {% for movement in mrr_movements() -%}
        {{ exact_product(movement ~ '_amount', 'coalesce(rate, 0)') }} as {{ movement }}_amount,
        {% endfor -%}
        {{ exact_product(
            'lag(mrr_amount) over until_now', 'coalesce(rate, 0) - coalesce(lag(rate) over until_now, rate, 0)'
        ) }} as rate_effect_amount
    from rated
    window until_now as (partition by policy_key, currency, reporting_currency order by mrr_date)

),

sums as (

    select
        policy_key,
        mrr_date,
        reporting_currency,
        max(case when lacks_rate then 1 else 0 end) = 1 as lacks_rate,
        sum(mrr_amount) as mrr_amount,
        {% for movement in mrr_movements() -%}
        sum({{ movement }}_amount) as {{ movement }}_amount,
        {% endfor -%}
        sum(coalesce(rate_effect_amount, 0)) as rate_effect_amount
    from converted
    group by policy_key, mrr_date, reporting_currency

)

select
    policy_key,
    mrr_date,
    reporting_currency,
    cast(case when not lacks_rate then mrr_amount end as {{ exact_type() }}) as mrr_amount,
    cast(case when not lacks_rate then 12 * mrr_amount end as {{ exact_type() }}) as arr_amount,
    {% for movement in mrr_movements() + ['rate_effect'] -%}
    cast(case when not lacks_rate then {{ movement }}_amount end as {{ exact_type() }}) as {{ movement }}_amount,
    {% endfor -%}
    case when lacks_rate then 'missing' else 'ok' end as state,
    {{ built_at() }} as created_at
from sums
