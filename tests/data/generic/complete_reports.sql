{#- Fails with each report date whose report is missing or has not exactly the trailing periods it should have. -#}
{% test complete_reports(model) %}

select
    report_dates.report_date,
    count(reports.report_date) as periods
from {{ ref('report_dates') }} as report_dates
left join {{ model }} as reports
    on report_dates.report_date = reports.report_date
group by report_dates.report_date
having count(reports.report_date) != {{ var('report_periods') }}

{% endtest %}
