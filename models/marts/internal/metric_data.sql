{%- set counts = ['invoices_finalized', 'invoices_left', 'invoices_paid'] %}
{%- set amounts = ['invoiced_amount', 'paid_amount'] %}
{%- set mrr_levels = ['mrr_amount', 'arr_amount', 'paying_customers'] %}
{%- set mrr_movements = ['new', 'expansion', 'contraction', 'churned', 'reactivated'] %}

with

metrics as (

    select * from {{ ref('metrics') }}

),

event_values as (

    select * from {{ ref('int_event_metrics') }}

),

coverages as (

    select * from {{ ref('int_source_coverages') }}

),

daily_invoices as (

    select * from {{ ref('daily_invoices') }}

),

daily_mrr as (

    select * from {{ ref('daily_mrr') }}
    where policy_key = 'stripe'

),

monthly_mrr as (

    select * from {{ ref('monthly_mrr') }}
    where policy_key = 'stripe'

),

scraped_figures as (

    select * from {{ ref('scraped_figures') }}

),

pushed_values as (

    select * from {{ ref('stg_pushed__metric_values') }}

),

periods as (

    select * from {{ ref('int_metric_periods') }}
    where is_in_history

),

currencies as (

    select currency from daily_invoices

    union distinct

    select currency from daily_mrr

),

-- 0 where nothing happened: what was read of Stripe goes back to its beginning.
period_invoices as (

    select
        {% for column in counts + amounts -%}
        coalesce(sum(daily_invoices.{{ column }}), 0) as {{ column }},
        {% endfor -%}
        periods.grain,
        periods.period_start_date,
        currencies.currency
    from periods
    cross join currencies
    left join daily_invoices
        on
            currencies.currency = daily_invoices.currency
            and periods.period_start_date <= daily_invoices.invoice_date
            and periods.as_of_date >= daily_invoices.invoice_date
    group by periods.grain, periods.period_start_date, currencies.currency

),

period_invoice_counts as (

    select
        {% for column in counts -%}
        sum({{ column }}) as {{ column }},
        {% endfor -%}
        grain,
        period_start_date
    from period_invoices
    group by grain, period_start_date

),

invoice_values as (

    {% for column in counts -%}
    {{ metric_row('period_invoice_counts', column) }}

    union all

    {% endfor -%}
    {% for column in amounts -%}
    {{ metric_row('period_invoices', column, dimension='currency') }}
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

mrr_periods as (

    select
        periods.grain,
        periods.period_start_date,
        currencies.currency,
        least(periods.as_of_date, coverages.covered_date) as mrr_date
    from periods
    inner join coverages
        on coverages.source_key = 'stripe'
    cross join currencies

),

-- Levels are those of the period's last day; before a currency's first movement they are 0.
period_mrr as (

    select
        {% for column in mrr_levels -%}
        coalesce(daily_mrr.{{ column }}, 0) as {{ column }},
        {% endfor -%}
        mrr_periods.grain,
        mrr_periods.period_start_date,
        mrr_periods.currency
    from mrr_periods
    left join daily_mrr
        on
            mrr_periods.currency = daily_mrr.currency
            and mrr_periods.mrr_date = daily_mrr.mrr_date

),

-- What a customer did within a month is one movement, so that those of a month are no sum of those of its days.
period_mrr_movements as (

    select
        {% for movement in mrr_movements -%}
        coalesce(daily_mrr.{{ movement }}_amount, monthly_mrr.{{ movement }}_amount, 0) as {{ movement }}_mrr_amount,
        {% endfor -%}
        mrr_periods.grain,
        mrr_periods.period_start_date,
        mrr_periods.currency
    from mrr_periods
    left join daily_mrr
        on
            mrr_periods.grain = 'day'
            and mrr_periods.currency = daily_mrr.currency
            and mrr_periods.period_start_date = daily_mrr.mrr_date
    left join monthly_mrr
        on
            mrr_periods.grain = 'month'
            and mrr_periods.currency = monthly_mrr.currency
            and mrr_periods.period_start_date = monthly_mrr.month_start_date
    where mrr_periods.grain != 'week'

),

period_churn as (

    select
        mrr_periods.grain,
        mrr_periods.period_start_date,
        mrr_periods.currency,
        monthly_mrr.logo_churn_percentage,
        coalesce(monthly_mrr.churned_customers, 0) as churned_customers,
        coalesce(monthly_mrr.opening_customers, 0) as opening_customers,
        monthly_mrr.net_revenue_retention_percentage,
        coalesce(
            monthly_mrr.opening_amount + monthly_mrr.expansion_amount
            + monthly_mrr.contraction_amount + monthly_mrr.churned_amount,
            0
        ) as retained_amount,
        coalesce(monthly_mrr.opening_amount, 0) as opening_amount
    from mrr_periods
    left join monthly_mrr
        on
            mrr_periods.currency = monthly_mrr.currency
            and mrr_periods.period_start_date = monthly_mrr.month_start_date
    where mrr_periods.grain = 'month'

),

billing_values as (

    {% for column in mrr_levels -%}
    {{ metric_row('period_mrr', column, dimension='currency') }}

    union all

    {% endfor -%}
    {% for movement in mrr_movements -%}
    {{ metric_row('period_mrr_movements', movement ~ '_mrr_amount', dimension='currency') }}

    union all

    {% endfor -%}
    {{ metric_row(
        'period_churn', 'logo_churn_percentage', dimension='currency',
        made_from={'numerator': 'churned_customers', 'denominator': 'opening_customers'}
    ) }}

    union all

    {{ metric_row(
        'period_churn', 'net_revenue_retention_percentage', dimension='currency',
        made_from={'numerator': 'retained_amount', 'denominator': 'opening_amount'}
    ) }}

),

scraped_values as (

    select
        metric_key,
        'day' as grain,
        figure_date as period_start_date,
        '' as dimension,
        cast(value as {{ float_type() }}) as value,
        cast(null as {{ float_type() }}) as numerator,
        cast(null as {{ float_type() }}) as denominator,
        case
            when state = 'missing' then 'missing'
            when state != 'ok' then 'broken'
        end as failure
    from scraped_figures

),

numbered_pushed_values as (

    select
        metric_key,
        {{ reporting_date('measured_at') }} as measured_date,
        value,
        row_number() over (
            partition by metric_key, {{ reporting_date('measured_at') }}
            order by measured_at desc
        ) as position
    from pushed_values

),

pushed_days as (

    select
        metric_key,
        measured_date,
        max(case when position = 1 then value end) as last_value,
        avg(value) as avg_value,
        sum(value) as sum_value,
        min(value) as min_value,
        max(value) as max_value
    from numbered_pushed_values
    group by metric_key, measured_date

),

joined_pushed_values as (

    select
        pushed_days.metric_key,
        'day' as grain,
        pushed_days.measured_date as period_start_date,
        '' as dimension,
        cast(
            case metrics.daily_aggregation
                when 'avg' then pushed_days.avg_value
                when 'sum' then pushed_days.sum_value
                when 'min' then pushed_days.min_value
                when 'max' then pushed_days.max_value
                else pushed_days.last_value
            end as {{ float_type() }}
        ) as value,
        cast(null as {{ float_type() }}) as numerator,
        cast(null as {{ float_type() }}) as denominator,
        cast(null as string) as failure
    from pushed_days
    left join metrics
        on pushed_days.metric_key = metrics.metric_key

),

known_values as (

    select
        *,
        cast(null as string) as failure,
        'events' as source_key
    from event_values

    union all

    select
        *,
        cast(null as string) as failure,
        'stripe' as source_key
    from invoice_values

    union all

    select
        *,
        cast(null as string) as failure,
        'stripe' as source_key
    from billing_values

    union all

    select
        *,
        cast(null as string) as source_key
    from scraped_values

    union all

    select
        *,
        cast(null as string) as source_key
    from joined_pushed_values

),

known_series as (

    select
        metric_key,
        grain,
        dimension,
        source_key
    from known_values
    group by metric_key, grain, dimension, source_key

),

grains as (

    select grain
    from periods
    group by grain

),

-- What the catalogue promises and no source has told yet; only money is kept for longer periods too.
series as (

    select * from known_series

    union all

    select
        metrics.metric_key,
        grains.grain,
        '' as dimension,
        cast(null as string) as source_key
    from metrics
    inner join grains
        on
            grains.grain = 'day'
            or metrics.value_type = 'amount'
    left join known_series
        on metrics.metric_key = known_series.metric_key
    where known_series.metric_key is null

),

cells as (

    select
        series.metric_key,
        series.grain,
        series.dimension,
        series.source_key is not null as has_source,
        periods.report_date,
        periods.period_start_date,
        periods.period_end_date,
        coverages.covered_date,
        coverages.has_failed
    from series
    inner join periods
        on series.grain = periods.grain
    left join coverages
        on series.source_key = coverages.source_key

),

judged as (

    select
        cells.metric_key,
        cells.grain,
        cells.dimension,
        cells.period_start_date,
        cells.period_end_date,
        known_values.value,
        known_values.numerator,
        known_values.denominator,
        case
            when cells.has_source and coalesce(cells.covered_date < cells.period_start_date, true)
                then case when cells.has_failed then 'broken' else 'missing' end
            when known_values.metric_key is null then 'missing'
            when known_values.failure is not null then known_values.failure
            when known_values.value is null then 'undefined'
            when coalesce(cells.covered_date <= cells.period_end_date, false) then 'provisional'
            when cells.report_date > {{ date_plus('cells.period_end_date', var('late_days'), 'day') }} then 'final'
            else 'provisional'
        end as state
    from cells
    left join known_values
        on
            cells.metric_key = known_values.metric_key
            and cells.grain = known_values.grain
            and cells.dimension = known_values.dimension
            and cells.period_start_date = known_values.period_start_date

)

select
    metric_key,
    grain,
    period_start_date,
    period_end_date,
    dimension,
    case when state in ('final', 'provisional') then value end as value,
    case when state not in ('missing', 'broken') then numerator end as numerator,
    case when state not in ('missing', 'broken') then denominator end as denominator,
    state,
    {{ built_at() }} as computed_at
from judged
