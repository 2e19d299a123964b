with

report_dates as (

    select * from {{ ref('report_dates') }}

),

released_periods as (

    select * from {{ ref('int_released_periods') }}

),

-- A report shows what had been released by its date, however late it is made.
known_periods as (

    select
        report_dates.report_date,
        released_periods.*,
        {{ date_plus('released_periods.period_end_date', 'released_periods.lateness_days', 'day') }} as release_date
    from report_dates
    inner join released_periods
        on report_dates.report_date > released_periods.period_end_date

),

numbered as (

    select
        *,
        row_number() over (
            partition by report_date, grain
            order by period_start_date desc
        ) as position
    from known_periods
    where report_date >= release_date

),

aged as (

    select
        *,
        case
            {% for grain in ['day', 'week', 'month'] -%}
            when
                grain = '{{ grain }}'
                and {{ date_plus('period_start_date', 1, grain) }} = {{ period_start(grain, 'report_date') }}
                then 1
            {% endfor -%}
            else 2
        end as age,
        {{ period_name('grain', 'period_start_date', 'period_end_date', 'report_date') }} as period_name
    from numbered
    where position <= {{ var('report_periods') }}

)

select
    report_date,
    grain,
    {{ period_label('grain', 'age', 'period_name') }} as period_label,
    period_start_date,
    period_end_date,
    released_at as created_at
from aged
