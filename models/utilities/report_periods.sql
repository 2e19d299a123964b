{%- set predecessor_and_periods = var('report_periods') + 1 %}

with

report_dates as (

    select * from {{ ref('report_dates') }}

),

ages as (

    {% for age in range(predecessor_and_periods) -%}
    select {{ age }} as age
    {%- if not loop.last %}
    union all
    {% endif %}
    {%- endfor %}

),

starts as (

    {% for grain in ['day', 'week', 'month'] -%}
    select
        report_dates.report_date,
        '{{ grain }}' as grain,
        ages.age,
        {{ date_plus(period_start(grain, 'report_dates.report_date'), '-ages.age', grain) }} as period_start_date
    from report_dates
    cross join ages
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

periods as (

    select
        report_date,
        grain,
        age,
        period_start_date,
        {{ period_end('grain', 'period_start_date') }} as period_end_date
    from starts

),

named as (

    select
        *,
        {{ period_name('grain', 'period_start_date', 'period_end_date', 'report_date') }} as period_name
    from periods

)

select
    report_date,
    grain,
    age,
    -- The oldest period of a report is there for its successor to be compared with; it is not reported.
    age < {{ var('report_periods') }} as is_reported,
    period_start_date,
    period_end_date,
    least(period_end_date, report_date) as as_of_date,
    {{ period_label('grain', 'age', 'period_name') }} as period_label
from named
