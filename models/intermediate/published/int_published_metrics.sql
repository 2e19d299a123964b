{%- set subjects = ['engagements', 'advanced_metrics', 'errors', 'funnels'] %}

with

{% for subject in subjects -%}
{{ subject }} as (

    select * from {{ ref('int_published_' ~ subject) }}

),

{% endfor -%}
metric_rows as (

    {% for subject in subjects -%}
    {{ metric_rows(subject, 'int_published_' ~ subject) }}
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
