{#- Yields numerator / denominator as a float; NULL where the denominator is zero. -#}
{% macro ratio(numerator, denominator) -%}
    (cast({{ numerator }} as {{ float_type() }}) / nullif({{ denominator }}, 0))
{%- endmacro %}

{#- Yields 100 x numerator / denominator, not rounded; NULL where the denominator is zero. -#}
{% macro percentage(numerator, denominator) -%}
    (100 * cast({{ numerator }} as {{ float_type() }}) / nullif({{ denominator }}, 0))
{%- endmacro %}

{#- Yields a query for the metrics of the model behind `relation`, one row for each of them and each row of the model. Each
    column that is described is one, but for those that say which row it is; a ratio's says what it is made from. -#}
{% macro metric_rows(relation, model_name) -%}
    {%- set others = [
        'report_date', 'grain', 'is_reported', 'period_label', 'period_start_date', 'period_end_date',
        'created_at', 'version', 'basis',
    ] -%}
    {%- set rows = [] -%}
    {%- for node in (graph.nodes.values() if execute else []) if node.resource_type == 'model' and node.name == model_name -%}
        {%- for column in node.columns.values() if column.name not in others -%}
            {%- do rows.append(metric_row(relation, column.name, column.meta)) -%}
        {%- endfor -%}
    {%- endfor -%}
    {{- rows | join('\n\n    union all\n\n    ') -}}
{%- endmacro %}

{#- Yields a query for one metric, a column of `relation`; `made_from` names numerator and denominator of a ratio. -#}
{% macro metric_row(relation, column, made_from={}, dimension="''") -%}
    select
        '{{ column }}' as metric_key,
        grain,
        period_start_date,
        {{ dimension }} as dimension,
        cast({{ column }} as {{ float_type() }}) as value,
        cast({{ made_from.get('numerator', 'null') }} as {{ float_type() }}) as numerator,
        cast({{ made_from.get('denominator', 'null') }} as {{ float_type() }}) as denominator
    from {{ relation }}
{%- endmacro %}
