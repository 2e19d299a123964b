{#- Yields the condition that a stored session, or part of it, may lie on one of `days`. -#}
{% macro session_overlaps(days) -%}
    (
        {%- for first_day, last_day in stretches(days) %}
        (first_date <= cast('{{ last_day }}' as date) and last_date >= cast('{{ first_day }}' as date))
        {{ 'or' if not loop.last }}
        {%- else %}
        false
        {%- endfor %}
    )
{%- endmacro %}

{#- Yields the days on which tests lie of any session that has, or had, one on a day that changed; none where everything
    is to be built. -#}
{% macro days_of_changed_sessions(days) -%}
    {%- if not days -%}
        {{- return(days) -}}
    {%- endif -%}
    {%- set found = run_query(
        'with changed as (select ' ~ session_hash() ~ ' as session_hash from ' ~ ref('int_tests')
        ~ ' where ' ~ falls_on(days) ~ ' group by 1),'
        ~ ' spans as (select first_date, last_date from ' ~ this ~ ' as sessions'
        ~ ' inner join changed on sessions.session_hash = changed.session_hash'
        ~ ' union distinct select first_date, last_date from ' ~ this ~ ' where ' ~ session_overlaps(days) ~ '),'
        ~ ' known as (select event_date from ' ~ ref('int_load_days') ~ ' group by event_date)'
        ~ ' select event_date from known where ' ~ is_one_of('event_date', days)
        ~ ' union distinct select known.event_date from known inner join spans'
        ~ ' on known.event_date >= spans.first_date and known.event_date <= spans.last_date order by event_date'
    ) -%}
    {{- return(found.columns[0].values() | map('string') | list) -}}
{%- endmacro %}

{#- Yields what stands for a session: user and session in 128 bits. -#}
{% macro session_hash() -%}
    {{- return(hash_128("concat(coalesce(user_key, ''), '|', session_key)")) -}}
{%- endmacro %}
