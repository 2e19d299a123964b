{%- set subjects = ['engagement', 'advanced_metrics', 'errors', 'funnel'] %}

with

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
metric_rows as (

    {% for subject in subjects -%}
    {{ metric_rows(subject, 'int_' ~ subject ~ '_reports') }}
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

)

select
    metric_key,
    grain,
    period_start_date,
    dimension,
    value,
    numerator,
    denominator
from metric_rows
