with

report_periods as (

    select * from {{ ref('report_periods') }}

),

fate_days as (

    select * from {{ ref('int_fate_days') }}

),

first_event as (

    select min(event_date) as first_date
    from fate_days
    where fate = 'counted'

),

newest_report as (

    select max(report_date) as report_date
    from report_periods

),

-- Everything up to the newest report, day by day, and the periods that begin on one of these days.
history_bounds as (

    {% for grain in ['day', 'week', 'month'] -%}
    select
        newest_report.report_date,
        '{{ grain }}' as grain,
        {{ period_start(grain, 'first_event.first_date') }} as first_start_date
    from newest_report
    cross join first_event
    {%- if not loop.last %}

    union all

    {% endif %}
    {%- endfor %}

),

history_days as (

    select
        history_bounds.report_date,
        history_bounds.grain,
        cast(history_day as date) as history_date
    from history_bounds
    cross join {{ unnested_days('history_bounds.first_start_date', 'history_bounds.report_date', 'history_day') }}

),

history as (

    select
        report_date,
        grain,
        history_date as period_start_date,
        case grain
            when 'day' then history_date
            when 'week' then {{ date_plus('history_date', 6, 'day') }}
            else {{ date_plus(date_plus('history_date', 1, 'month'), -1, 'day') }}
        end as period_end_date
    from history_days
    where
        grain = 'day'
        or grain = 'week' and history_date = {{ period_start('week', 'history_date') }}
        or grain = 'month' and history_date = {{ period_start('month', 'history_date') }}

    union all

    -- Without any event, what the newest report shows.
    select
        report_periods.report_date,
        report_periods.grain,
        report_periods.period_start_date,
        report_periods.period_end_date
    from report_periods
    inner join newest_report
        on report_periods.report_date = newest_report.report_date
    cross join first_event
    where
        report_periods.is_reported
        and first_event.first_date is null

)

select
    coalesce(report_periods.report_date, history.report_date) as report_date,
    coalesce(report_periods.grain, history.grain) as grain,
    coalesce(report_periods.is_reported, false) as is_reported,
    history.grain is not null as is_in_history,
    coalesce(report_periods.period_start_date, history.period_start_date) as period_start_date,
    coalesce(report_periods.period_end_date, history.period_end_date) as period_end_date,
    least(
        coalesce(report_periods.period_end_date, history.period_end_date),
        coalesce(report_periods.report_date, history.report_date)
    ) as as_of_date,
    report_periods.period_label
from report_periods
full outer join history
    on
        report_periods.report_date = history.report_date
        and report_periods.grain = history.grain
        and report_periods.period_start_date = history.period_start_date
