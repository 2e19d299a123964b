{#- Yields the schema exactly as the layer names it, on every target, after KPI_SCHEMA_PREFIX. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ env_var('KPI_SCHEMA_PREFIX', '') }}{{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
