{#- Yields the type of an instant. -#}
{% macro timestamp_type() -%}
    {{- return('timestamp' if target.type == 'bigquery' else 'timestamptz') -}}
{%- endmacro %}

{#- Yields the type of a binary floating-point number. -#}
{% macro float_type() -%}
    {{- return('float64' if target.type == 'bigquery' else 'double') -}}
{%- endmacro %}
