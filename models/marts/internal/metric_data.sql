{%- set subjects = ['engagement', 'advanced_metrics', 'errors', 'funnel'] %}
{%- set counts = ['invoices_finalized', 'invoices_left', 'invoices_paid'] %}
{%- set amounts = ['invoiced_amount', 'paid_amount'] %}

with

metrics as (

    select * from {{ ref('metrics') }}

),

coverages as (

    select * from {{ ref('int_source_coverages') }}

),

daily_invoices as (

    select * from {{ ref('daily_invoices') }}

),

scraped_figures as (

    select * from {{ ref('scraped_figures') }}

),

periods as (

    select * from {{ ref('int_metric_periods') }}
    where is_in_history

),

{% for subject in subjects -%}
{{ subject }} as (

    select reports.*
    from {{ ref('int_' ~ subject ~ '_reports') }} as reports
    inner join periods
        on
            reports.report_date = periods.report_date
            and reports.grain = periods.grain
            and reports.period_start_date = periods.period_start_date

),

{% endfor -%}
event_values as (

    {% for subject in subjects -%}
    {{ metric_rows(subject, 'int_' ~ subject ~ '_reports') }}
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

currencies as (

    select currency
    from daily_invoices
    group by currency

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
        cast(null as string) as source_key
    from scraped_values

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
