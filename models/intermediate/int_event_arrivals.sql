{%- set is_embedded = target.type == 'duckdb' %}
{%- set replaces = replaces_rows('event_hash', 'settings') if is_embedded else replaces_days('settings', ['batch']) %}
{{ config(post_hook="{{ keep_conflicts_in_quarantine() }}" if is_embedded else [], **replaces) }}
-- depends_on: {{ ref('event_roles') }}
-- depends_on: {{ ref('stg_events__erasures') }}
{%- set now = run_number() %}
{#- On BigQuery the days that are touched are known before they are read, and written anew as a whole. #}
{%- set window = arrivals_to_settle() if target.type == 'bigquery' and is_incremental() else none %}
{%- set lies_in_window = falls_on(window.days if window else none) %}

{%- set content = dbt.concat([
    'event_id', "'|'", 'cast(occurred_at as string)', "'|'", 'event_key', "'|'", "coalesce(service_key, '')", "'|'",
    "coalesce(session_id, '')", "'|'", "coalesce(status, '')", "'|'", "coalesce(error_code, '')", "'|'",
    "coalesce(user_key, '')",
]) %}

-- Large tables are named where they are read: DuckDB writes down whole what several CTEs read from one.
with

files as (

    select * from {{ ref('stg_events__files') }}

),

-- A load without events would count as new for ever.
loads as (

    select loads.load_id
    from {{ ref('stg_events__loads') }} as loads
    inner join files
        on loads.load_id = files.load_id
    where files.events > 0
    group by loads.load_id

),

{% if window is not none -%}
new_loads as (

    select load_id
    from loads
    where load_id in ('{{ (window.loads or ['']) | join("', '") }}')

),

batches as (

    select
        greatest({{ now }}, {{ highest('batch', this) or 0 }} + 1) as batch,
        {{ highest('basis', this) or now }} as basis

),
{%- elif is_incremental() -%}
known_loads as (

    select load_id
    from {{ this }}
    group by load_id

),

new_loads as (

    select loads.load_id
    from loads
    left join known_loads
        on loads.load_id = known_loads.load_id
    where known_loads.load_id is null

),

batches as (

    select
        greatest({{ now }}, coalesce(max(batch), 0) + 1) as batch,
        coalesce(max(basis), {{ now }}) as basis
    from {{ this }}

),
{%- else -%}
new_loads as (

    select load_id from loads

),

batches as (

    select
        {{ now }} as batch,
        {{ now }} as basis

),
{%- endif %}

new_hashes as (

    select
        {{ hash_64('lines.event_id') }} as event_hash,
        count(*) as arrivals
    from {{ ref('stg_events__events') }} as lines
    inner join new_loads
        on lines.load_id = new_loads.load_id
    where {{ lies_in_window }}
    group by {{ hash_64('lines.event_id') }}

),

-- Ids that came more than once, and the loads that brought them: only there the content decides.
{% if is_incremental() -%}
returned as (

    select
        known_arrivals.event_hash,
        known_arrivals.load_id
    from {{ this }} as known_arrivals
    inner join new_hashes
        on known_arrivals.event_hash = new_hashes.event_hash
    where {{ is_one_of('known_arrivals.event_date', window.days if window else none) }}
    group by known_arrivals.event_hash, known_arrivals.load_id

),

repeated_hashes as (

    select event_hash from new_hashes
    where arrivals > 1

    union distinct

    select event_hash from returned

),

loads_to_read as (

    select load_id from new_loads

    union distinct

    select load_id from returned

),
{%- else -%}
repeated_hashes as (

    select event_hash from new_hashes
    where arrivals > 1

),

loads_to_read as (

    select load_id from new_loads

),
{%- endif %}

single_arrivals as (

    select
        lines.load_id,
        lines.source_file,
        lines.line_number,
        lines.loaded_at,
        {{ hash_64('lines.event_id') }} as event_hash,
        lines.event_date
    from {{ ref('stg_events__events') }} as lines
    inner join new_loads
        on lines.load_id = new_loads.load_id
    left join repeated_hashes
        on {{ hash_64('lines.event_id') }} = repeated_hashes.event_hash
    where
        repeated_hashes.event_hash is null
        and {{ lies_in_window }}

),

repeated_arrivals as (

    select
        lines.*,
        repeated_hashes.event_hash,
        -- A load that was cut off and repeated can leave a line twice under the same load id; it is one line.
        count(*) over same_line as copies,
        row_number() over same_line_in_order as copy_number
    from {{ ref('stg_events__events') }} as lines
    inner join loads_to_read
        on lines.load_id = loads_to_read.load_id
    inner join repeated_hashes
        on {{ hash_64('lines.event_id') }} = repeated_hashes.event_hash
    where {{ lies_in_window }}
    window
        same_line as (partition by lines.load_id, lines.source_file, lines.line_number, lines.event_id),
        same_line_in_order as (
            partition by lines.load_id, lines.source_file, lines.line_number, lines.event_id
            order by lines.occurred_at asc
        )

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
        first_value(user_key) over arrival_order as winner_user_key
    from repeated_arrivals
    where copy_number = 1
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

compared_arrivals as (

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

),

settled_arrivals as (

    select
        *,
        case
            when arrival_number = 1 then 'winner'
            when is_equal_to_winner then 'duplicate'
            else 'conflict'
        end as settled
    from compared_arrivals

),

arrivals as (

    select
        load_id,
        source_file,
        line_number,
        loaded_at,
        event_hash,
        event_date,
        'winner' as settled,
        1 as copies,
        cast(null as string) as event_id,
        cast(null as string) as line_hash
    from single_arrivals

    union all

    select
        load_id,
        source_file,
        line_number,
        loaded_at,
        event_hash,
        event_date,
        settled,
        copies,
        case when settled = 'conflict' then event_id end as event_id,
        case
            when settled = 'conflict'
                then {{ dbt.hash(content) }}
        end as line_hash
    from settled_arrivals

)

select
    arrivals.load_id,
    arrivals.source_file,
    arrivals.line_number,
    arrivals.loaded_at,
    arrivals.event_hash,
    arrivals.event_date,
    arrivals.settled,
    cast(arrivals.copies as int64) as copies,
    arrivals.event_id,
    arrivals.line_hash,
    cast(batches.batch as int64) as batch,
    cast(batches.basis as int64) as basis,
    cast({{ history_settings() }} as int64) as settings
from arrivals
cross join batches
{%- if window is not none %}

union all

-- What else lies on these days stays as it is.
select stored.*
from {{ this }} as stored
left join arrivals
    on
        stored.load_id = arrivals.load_id
        and stored.source_file = arrivals.source_file
        and stored.line_number = arrivals.line_number
where
    arrivals.load_id is null
    and {{ is_one_of('stored.event_date', window.days) }}
{%- endif %}
