{#- Yields the first day of the day, ISO week or month that a date falls in. -#}
{% macro period_start(grain, date) -%}
    {%- if grain == 'day' -%}
        {{ date }}
    {%- elif target.type == 'bigquery' -%}
        date_trunc({{ date }}, {{ 'isoweek' if grain == 'week' else grain }})
    {%- else -%}
        cast(date_trunc('{{ grain }}', {{ date }}) as date)
    {%- endif -%}
{%- endmacro %}

{#- Yields a date moved by a number of days, weeks or months. -#}
{% macro date_plus(date, number, unit) -%}
    {%- if target.type == 'bigquery' -%}
        date_add({{ date }}, interval {{ number }} {{ unit }})
    {%- else -%}
        cast(date_add({{ date }}, to_{{ unit }}s(cast({{ number }} as integer))) as date)
    {%- endif -%}
{%- endmacro %}

{#- Yields a from-clause relation with one row, column `name`, per day of the range, both ends included. -#}
{% macro unnested_days(first_day, last_day, name) -%}
    {%- if target.type == 'bigquery' -%}
        unnest(generate_date_array({{ first_day }}, {{ last_day }})) as {{ name }}
    {%- else -%}
        unnest(generate_series({{ first_day }}, {{ last_day }}, interval 1 day)) as days ({{ name }})
    {%- endif -%}
{%- endmacro %}

{#- Yields the short English name of the month of a date. -#}
{% macro month_name(date) -%}
    {%- if target.type == 'bigquery' -%}
        format_date('%b', {{ date }})
    {%- else -%}
        strftime({{ date }}, '%b')
    {%- endif -%}
{%- endmacro %}

{#- Yields a date as 'Dec 8', with ', 2025' behind it where the date is not in the year given. -#}
{% macro day_label(date, year) -%}
    concat(
        {{ month_name(date) }}, ' ', cast(extract(day from {{ date }}) as string),
        case
            when extract(year from {{ date }}) != {{ year }}
                then concat(', ', cast(extract(year from {{ date }}) as string))
            else ''
        end
    )
{%- endmacro %}

{#- Yields the plain name of a period, from its grain and its first and last day. -#}
{% macro period_name(grain, period_start, period_end, report_date) -%}
    {%- set year = 'extract(year from ' ~ report_date ~ ')' -%}
    case {{ grain }}
        when 'day' then {{ day_label(period_start, year) }}
        when 'week' then concat({{ day_label(period_start, year) }}, ' - ', {{ day_label(period_end, year) }})
        else concat({{ month_name(period_start) }}, ' ', cast(extract(year from {{ period_start }}) as string))
    end
{%- endmacro %}

{#- Yields the name of a period for people; `age` is 0 for the period that holds the report date. -#}
{% macro period_label(grain, age, name) -%}
    case
        when {{ age }} = 0 and {{ grain }} = 'day' then concat('Today (', {{ name }}, ')')
        when {{ age }} = 1 and {{ grain }} = 'day' then concat('Yesterday (', {{ name }}, ')')
        when {{ age }} = 0 then concat('This ', {{ grain }}, ' (', {{ name }}, ')')
        when {{ age }} = 1 then concat('Last ', {{ grain }}, ' (', {{ name }}, ')')
        else {{ name }}
    end
{%- endmacro %}

{#- Yields the last day of a period, from its grain and its first day. -#}
{% macro period_end(grain, period_start) -%}
    case {{ grain }}
        when 'day' then {{ period_start }}
        when 'week' then {{ date_plus(period_start, 6, 'day') }}
        else {{ date_plus(date_plus(period_start, 1, 'month'), -1, 'day') }}
    end
{%- endmacro %}
