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
