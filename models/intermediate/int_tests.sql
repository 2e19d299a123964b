with

events as (

    select * from {{ ref('int_events') }}

)

select
    event_id,
    user_key,
    record_key,
    -- A test without a session is one of its own. The letter keeps the two kinds of id apart.
    case
        when session_id is null then concat('e', event_id)
        else concat('s', session_id)
    end as session_key,
    status = 'success' as is_successful,
    case when status = 'error' then coalesce(error_code, '(none)') end as error_code,
    occurred_at,
    event_date
from events
where
    fate = 'counted'
    and role = 'test'
