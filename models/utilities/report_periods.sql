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
        case grain
            when 'day' then period_start_date
            when 'week' then {{ date_plus('period_start_date', 6, 'day') }}
            else {{ date_plus(date_plus('period_start_date', 1, 'month'), -1, 'day') }}
        end as period_end_date
    from starts

),

dated as (

    select
        *,
        {{ day_label('period_start_date', 'extract(year from report_date)') }} as start_label,
        {{ day_label('period_end_date', 'extract(year from report_date)') }} as end_label,
        concat(
            {{ month_name('period_start_date') }}, ' ', cast(extract(year from period_start_date) as string)
        ) as month_label
    from periods

),

named as (

    select
        *,
        case grain
            when 'day' then start_label
            when 'week' then concat(start_label, ' - ', end_label)
            else month_label
        end as plain_label
    from dated

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
    case
        when age = 0 and grain = 'day' then concat('Today (', plain_label, ')')
        when age = 1 and grain = 'day' then concat('Yesterday (', plain_label, ')')
        when age = 0 then concat('This ', grain, ' (', plain_label, ')')
        when age = 1 then concat('Last ', grain, ' (', plain_label, ')')
        else plain_label
    end as period_label
from named
