{#- Yields the columns of this model's contract, in its order: they are listed in its .yml and nowhere else. -#}
{% macro contracted_columns() -%}
    {{- return(model.columns.keys() | join(', ')) -}}
{%- endmacro %}
