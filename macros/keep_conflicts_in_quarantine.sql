{#- Yields the statements that put the arrivals which another one overruled beside the rejected lines.
    Which ones they are depends on all arrivals known, so they are replaced whole. -#}
{% macro keep_conflicts_in_quarantine() -%}
    {%- set quarantine = source('events', 'quarantine') -%}
    delete from {{ quarantine }} where reason = 'conflict';
    insert into {{ quarantine }} (source_file, line_number, reason, line_hash, event_id, loaded_at, _dlt_load_id)
    select
        source_file,
        line_number,
        settled as reason,
        line_hash,
        event_id,
        loaded_at,
        load_id
    from {{ this }}
    where settled = 'conflict'
{%- endmacro %}
