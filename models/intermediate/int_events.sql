{%- set columns = [
    'event_id', 'event_key', 'user_key', 'record_key', 'session_id', 'status', 'error_code', 'is_flagged',
    'occurred_at', 'event_date', 'load_id', 'source_file', 'line_number', 'loaded_at',
] %}
{%- set lines_columns = 'lines.' ~ columns | join(', lines.') %}
-- Large tables are named where they are read: DuckDB writes down whole what several CTEs read from one.
with

load_days as (

    select * from {{ ref('int_load_days') }}

),

roles as (

    select * from {{ ref('event_roles') }}

),

known_loads as (

    select load_id
    from load_days
    group by load_id

),

-- Nearly every line is the only one of its event, so the few others are named, not these.
exceptions as (

    select
        load_id,
        source_file,
        line_number
    from {{ ref('int_event_exceptions') }}

),

repeated_lines as (

    select
        load_id,
        source_file,
        line_number
    from {{ ref('int_event_exceptions') }}
    where
        settled = 'winner'
        and copies > 1

),

events as (

    select {{ lines_columns }}
    from {{ ref('stg_events__events') }} as lines
    inner join known_loads
        on lines.load_id = known_loads.load_id
    left join exceptions
        on
            lines.load_id = exceptions.load_id
            and lines.source_file = exceptions.source_file
            and lines.line_number = exceptions.line_number
    where exceptions.load_id is null

    union all

    -- Grouped by everything: the copies that a repeated load left of one line.
    select {{ lines_columns }}
    from {{ ref('stg_events__events') }} as lines
    inner join repeated_lines
        on
            lines.load_id = repeated_lines.load_id
            and lines.source_file = repeated_lines.source_file
            and lines.line_number = repeated_lines.line_number
    group by {{ lines_columns }}

)

select
    events.event_id,
    events.event_key,
    roles.role,
    events.user_key,
    events.record_key,
    events.session_id,
    events.status,
    events.error_code,
    events.occurred_at,
    events.event_date,
    events.load_id,
    events.source_file,
    events.line_number,
    events.loaded_at,
    case
        when events.is_flagged then 'flagged'
        when roles.role is null then 'no_role'
        when roles.role = 'test' and coalesce(events.status, '') not in ('success', 'error') then 'bad_status'
        when roles.role = 'account_created' and events.user_key is null then 'no_user'
        else 'counted'
    end as fate
from events
left join roles
    on events.event_key = roles.event_key
