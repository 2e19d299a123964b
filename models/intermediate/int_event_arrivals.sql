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
        first_value(occurred_at) over arrival_order as winner_occurred_at,
        first_value(event_key) over arrival_order as winner_event_key,
        first_value(service_key) over arrival_order as winner_service_key,
        first_value(session_id) over arrival_order as winner_session_id,
        first_value(status) over arrival_order as winner_status,
        first_value(error_code) over arrival_order as winner_error_code,
        first_value(is_flagged) over arrival_order as winner_is_flagged,
        first_value(user_key) over arrival_order as winner_user_key,
        lag(load_id) over arrival_order as load_id_before,
        lag(source_file) over arrival_order as source_file_before,
        lag(line_number) over arrival_order as line_number_before
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

    select
        *,
        (
            winner_occurred_at = occurred_at
            and winner_event_key = event_key
            and winner_service_key is not distinct from service_key
            and winner_session_id is not distinct from session_id
            and winner_status is not distinct from status
            and winner_error_code is not distinct from error_code
            and winner_is_flagged = is_flagged
            and winner_user_key is not distinct from user_key
        ) as is_equal_to_winner
    from ranked
    where
        load_id_before is distinct from load_id
        or source_file_before is distinct from source_file
        or line_number_before is distinct from line_number

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
