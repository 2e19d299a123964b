{#- Yields the IANA name of the reporting zone. -#}
{% macro reporting_timezone() -%}
    {{- return(var('reporting_timezone', env_var('KPI_REPORTING_TIMEZONE', 'UTC'))) -}}
{%- endmacro %}

{#- Yields the local date of an instant in the reporting zone. -#}
{% macro reporting_date(instant) -%}
    {{ return(adapter.dispatch('reporting_date', 'kpi')(instant)) }}
{%- endmacro %}

{% macro default__reporting_date(instant) -%}
    cast(timezone('{{ reporting_timezone() }}', {{ instant }}) as date)
{%- endmacro %}

{% macro bigquery__reporting_date(instant) -%}
    date({{ instant }}, '{{ reporting_timezone() }}')
{%- endmacro %}

{#- Yields the date asked for under a name (report_date, backfill_from or backfill_to), or nothing: the variable of that
    name, else KPI_REPORT_DATE and so on. dbt keeps what it read of the project while variables stay the same. -#}
{% macro asked_date(name) -%}
    {{- return(var(name) or env_var('KPI_' ~ name.upper(), '') or none) -}}
{%- endmacro %}

{#- Yields the newest report date, YYYY-MM-DD: the one asked for, else the run's own day. -#}
{% macro newest_report_date() -%}
    {%- set today = run_started_at.astimezone(modules.pytz.timezone(reporting_timezone())).date() -%}
    {%- set asked = modules.datetime.date.fromisoformat((asked_date('report_date') or today) | string) -%}
    {%- if asked > today -%}
        {{ exceptions.raise_compiler_error('report_date ' ~ asked ~ ' lies after today (' ~ today ~ ' in ' ~ reporting_timezone() ~ ').') }}
    {%- endif -%}
    {{- return(asked.isoformat()) -}}
{%- endmacro %}

{#- Yields the one instant that a whole build writes as created_at. -#}
{% macro built_at() -%}
    cast('{{ run_started_at.strftime("%Y-%m-%d %H:%M:%S.%f") }}+00:00' as {{ timestamp_type() }})
{%- endmacro %}

{#- Yields a number for the run, higher than that of a run before it: microseconds since 1970. -#}
{% macro run_number() -%}
    {{- return((run_started_at.timestamp() * 1000000) | int) -}}
{%- endmacro %}

{#- Yields an instant after all others, for what has not ended. -#}
{% macro end_of_time() -%}
    cast('9999-01-01 00:00:00+00:00' as {{ timestamp_type() }})
{%- endmacro %}

{#- Yields the whole seconds from one instant to another. -#}
{% macro seconds_between(first, last) -%}
    {%- if target.type == 'bigquery' -%}
        timestamp_diff({{ last }}, {{ first }}, second)
    {%- else -%}
        date_diff('second', {{ first }}, {{ last }})
    {%- endif -%}
{%- endmacro %}
