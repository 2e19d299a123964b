{#- Yields the type of an instant. -#}
{% macro timestamp_type() -%}
    {{- return('timestamp' if target.type == 'bigquery' else 'timestamptz') -}}
{%- endmacro %}

{#- Yields the type of a binary floating-point number. -#}
{% macro float_type() -%}
    {{- return('float64' if target.type == 'bigquery' else 'double') -}}
{%- endmacro %}

{#- Yields the type of an exact number with 12 decimals. -#}
{% macro exact_type() -%}
    {{- return('bignumeric' if target.type == 'bigquery' else 'decimal(38, 12)') -}}
{%- endmacro %}

{#- Yields value x factor / divisor as an exact number, rounded half away from zero at its twelfth decimal; factor is a
    whole number, the others may have decimals. -#}
{% macro exact_share(value, factor, divisor) -%}
    {{ return(adapter.dispatch('exact_share', 'kpi')(value, factor, divisor)) }}
{%- endmacro %}

{#- Decimals are divided as binary numbers here, so whole numbers of 128 bits do it: the quotient, then its decimals. -#}
{% macro default__exact_share(value, factor, divisor) -%}
    {%- set parts = '(cast(cast(' ~ value ~ ' as decimal(38, 12)) * 1000000000000 as hugeint) * ' ~ factor ~ ')' -%}
    {%- set whole = 'cast(cast(' ~ divisor ~ ' as decimal(38, 12)) * 1000000000000 as hugeint)' -%}
    (
        cast({{ parts }} // {{ whole }} as decimal(38, 12))
        + cast(
            (2 * ({{ parts }} % {{ whole }}) * 1000000000000 + {{ whole }}) // (2 * {{ whole }}) as decimal(38, 0)
        ) * cast('0.000000000001' as decimal(13, 12))
    )
{%- endmacro %}

{% macro bigquery__exact_share(value, factor, divisor) -%}
    round(cast({{ value }} as bignumeric) * ({{ factor }}) / ({{ divisor }}), 12)
{%- endmacro %}

{#- Yields the product of two exact numbers, rounded half away from zero at its twelfth decimal. -#}
{% macro exact_product(value, factor) -%}
    {%- if target.type == 'bigquery' -%}
        round(({{ value }}) * ({{ factor }}), 12)
    {%- else -%}
        cast({{ value }} * cast({{ factor }} as decimal(18, 8)) as decimal(38, 12))
    {%- endif -%}
{%- endmacro %}

{#- Yields the kinds of movement of MRR, in the order in which they are told. -#}
{% macro mrr_movements() -%}
    {{- return(['new', 'expansion', 'contraction', 'churned', 'reactivated']) -}}
{%- endmacro %}

{#- Yields the columns of this model's contract, in its order: they are listed in its .yml and nowhere else. -#}
{% macro contracted_columns() -%}
    {{- return(model.columns.keys() | join(', ')) -}}
{%- endmacro %}

{#- Yields the columns of this model's contract: what tells which row of which report it is out of `reports`, the figures out
    of `figures`. -#}
{% macro columns_of_report(reports, figures) -%}
    {%- set of_reports = ['report_date', 'period_label', 'period_start_date', 'period_end_date', 'created_at'] -%}
    {%- set columns = [] -%}
    {%- for column in model.columns -%}
        {%- do columns.append((reports if column in of_reports else figures) ~ '.' ~ column) -%}
    {%- endfor -%}
    {{- return(columns | join(', ')) -}}
{%- endmacro %}

{#- Yields the columns of the errors marts that stand for one kind of error each, in order. -#}
{% macro error_columns() -%}
    {{- return([
        'no_period_history', 'camera_too_far', 'camera_too_close',
        'analysis_error', 'test_lines_not_found', 'test_not_found',
    ]) -}}
{%- endmacro %}
