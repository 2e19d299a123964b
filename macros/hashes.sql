{#- Yields 64 bits of a text, where two texts with the same bits do no harm. -#}
{% macro hash_64(text) -%}
    {{ return(adapter.dispatch('hash_64', 'kpi')(text)) }}
{%- endmacro %}

{% macro default__hash_64(text) -%}
    hash({{ text }})
{%- endmacro %}

{% macro bigquery__hash_64(text) -%}
    farm_fingerprint({{ text }})
{%- endmacro %}

{#- Yields 128 bits of a text, enough to stand for it. -#}
{% macro hash_128(text) -%}
    {{ return(adapter.dispatch('hash_128', 'kpi')(text)) }}
{%- endmacro %}

{% macro default__hash_128(text) -%}
    (cast(hash({{ text }}) as uhugeint) * 18446744073709551616 + hash(concat({{ text }}, '#')))
{%- endmacro %}

{% macro bigquery__hash_128(text) -%}
    md5({{ text }})
{%- endmacro %}

{#- Yields a query for what makes this engine's hashes: another answer makes all stored ones worthless. -#}
{% macro hash_function() -%}
    {{- return('select version()' if target.type == 'duckdb' else "select 'farm_fingerprint, md5'") -}}
{%- endmacro %}
