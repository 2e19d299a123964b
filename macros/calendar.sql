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
