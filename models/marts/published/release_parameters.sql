{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert' if target.type == 'duckdb' else 'merge',
        unique_key='parameters_id',
        full_refresh=false,
        on_schema_change='fail'
    )
}}
{%- set parameters = privacy_parameters() %}

with

current_parameters as (

    select
        '{{ privacy_parameters_id() }}' as parameters_id,
        '{{ parameters.mode }}' as mode,
        {% for name in ['threshold', 'base', 'test_cap', 'session_cap', 'error_cap', 'lateness_days'] -%}
        cast({{ parameters[name] }} as int64) as {{ name }},
        {% endfor -%}
        {{ built_at() }} as first_used_at

)

{% if is_incremental() -%}
select current_parameters.*
from current_parameters
left join {{ this }} as known
    on current_parameters.parameters_id = known.parameters_id
where known.parameters_id is null
{%- else -%}
select * from current_parameters
{%- endif %}
