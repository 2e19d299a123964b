{{ config(post_hook="{{ keep_conflicts_in_quarantine() }}") }}

with

arrivals as (

    select * from {{ ref('stg_events__events') }}

),

roles as (

    select * from {{ ref('event_roles') }}

),

-- The winner of an event id comes first. The last four columns decide nothing about the content: they only
-- say which of several equal lines is called the first one, the same on every run.
ranked as (

    select
        *,
        row_number() over arrival_order as arrival_number,
        lag(line_number) over arrival_order = line_number
        and lag(source_file) over arrival_order = source_file
        and lag(load_id) over arrival_order = load_id as is_loaded_again,
        first_value(occurred_at) over arrival_order = occurred_at
        and first_value(event_key) over arrival_order = event_key
        and first_value(service_key) over arrival_order is not distinct from service_key
        and first_value(session_id) over arrival_order is not distinct from session_id
        and first_value(status) over arrival_order is not distinct from status
        and first_value(error_code) over arrival_order is not distinct from error_code
        and first_value(is_flagged) over arrival_order = is_flagged
        and first_value(user_key) over arrival_order is not distinct from user_key as is_equal_to_winner
    from arrivals
    window arrival_order as (
        partition by event_id
        order by
            received_at asc nulls last,
            occurred_at asc,
            event_key asc,
            service_key asc nulls first,
            session_id asc nulls first,
            status asc nulls first,
            error_code asc nulls first,
            is_flagged asc,
            user_key asc nulls first,
            loaded_at asc,
            load_id asc,
            source_file asc,
            line_number asc
    )

),

-- A load that was cut off and repeated can leave a line twice under the same load id; it is one line.
lines as (

    select * from ranked
    where is_loaded_again is not true

),

with_roles as (

    select
        lines.*,
        roles.role
    from lines
    left join roles
        on lines.event_key = roles.event_key

)

select
    event_id,
    role,
    user_key,
    record_key,
    session_id,
    status,
    error_code,
    event_key,
    service_key,
    occurred_at,
    event_date,
    load_id,
    source_file,
    line_number,
    loaded_at,
    case
        when arrival_number > 1 and is_equal_to_winner then 'duplicate'
        when arrival_number > 1 then 'conflict'
        when is_flagged then 'flagged'
        when role is null then 'no_role'
        when role = 'test' and coalesce(status, '') not in ('success', 'error') then 'bad_status'
        when role = 'account_created' and user_key is null then 'no_user'
        else 'counted'
    end as fate
from with_roles
