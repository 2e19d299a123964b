{#- Yields numerator / denominator as a float; NULL where the denominator is zero. -#}
{% macro ratio(numerator, denominator) -%}
    (cast({{ numerator }} as {{ float_type() }}) / nullif({{ denominator }}, 0))
{%- endmacro %}

{#- Yields 100 x numerator / denominator, not rounded; NULL where the denominator is zero. -#}
{% macro percentage(numerator, denominator) -%}
    (100 * cast({{ numerator }} as {{ float_type() }}) / nullif({{ denominator }}, 0))
{%- endmacro %}
