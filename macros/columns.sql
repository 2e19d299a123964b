{#- Yields the type of an instant. -#}
{% macro timestamp_type() -%}
    {{- return('timestamp' if target.type == 'bigquery' else 'timestamptz') -}}
{%- endmacro %}

{#- Yields the type of a binary floating-point number. -#}
{% macro float_type() -%}
    {{- return('float64' if target.type == 'bigquery' else 'double') -}}
{%- endmacro %}

{#- Yields the columns of this model's contract, in its order: they are listed in its .yml and nowhere else. -#}
{% macro contracted_columns() -%}
    {{- return(model.columns.keys() | join(', ')) -}}
{%- endmacro %}

{#- Yields the columns of the errors marts that stand for one kind of error each, in order. -#}
{% macro error_columns() -%}
    {{- return([
        'no_period_history', 'camera_too_far', 'camera_too_close',
        'analysis_error', 'test_lines_not_found', 'test_not_found',
    ]) -}}
{%- endmacro %}
