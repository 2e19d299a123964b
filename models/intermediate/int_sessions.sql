{{ config(**replaces_rows('session_hash', 'int_load_days', partition_date='last_date', cluster_by=['session_hash'])) }}
{%- set changed_days = stale_days() %}
{%- set test_days = days_of_changed_sessions(changed_days) %}

{# What is stored of a session that changed ends on one of its days, or has none. -#}
{{ merge_window(is_one_of('DBT_INTERNAL_DEST.last_date', test_days) ~ ' or DBT_INTERNAL_DEST.last_date is null') }}

with

load_days as (

    select * from {{ ref('int_load_days') }}

),

tests as (

    select
        {{ session_hash() }} as session_hash,
        case when user_key is not null then {{ hash_128('user_key') }} end as user_hash,
        record_key,
        event_id,
        is_successful,
        occurred_at,
        event_date
    from {{ ref('int_tests') }}
    where {{ falls_on(test_days) }}

),

state as (

    select
        max(version) as version,
        max(basis) as basis
    from load_days

),

{% if changed_days is not none -%}
changed_sessions as (

    select session_hash
    from tests
    where {{ is_one_of('event_date', changed_days) }}
    group by session_hash

    union distinct

    select session_hash
    from {{ this }}
    where {{ session_overlaps(changed_days) }}

),

session_tests as (

    select tests.*
    from tests
    inner join changed_sessions
        on tests.session_hash = changed_sessions.session_hash

),
{%- else -%}
session_tests as (

    select * from tests

),
{%- endif %}

numbered as (

    select
        session_hash,
        user_hash,
        record_key,
        is_successful,
        occurred_at,
        event_date,
        row_number() over session_order as try_number
    from session_tests
    window session_order as (
        partition by session_hash
        order by occurred_at asc, event_id asc
    )

),

sessions as (

    select
        session_hash,
        min(user_hash) as user_hash,
        min(record_key) as record_key,
        count(*) as tests,
        min(occurred_at) as started_at,
        max(occurred_at) as last_tested_at,
        min(event_date) as first_date,
        max(event_date) as last_date,
        max(case when try_number = 1 then event_date end) as session_date,
        min(case when is_successful then try_number end) as first_success_try,
        min(case when is_successful then occurred_at end) as first_success_at
    from numbered
    group by session_hash

),

-- The session without a name says from what all were made, whichever changed.
named_sessions as (

    {% if changed_days is not none -%}
    select session_hash from changed_sessions

    union distinct

    {% else -%}
    select session_hash from sessions

    union all

    {% endif -%}
    select {{ hash_128("''") }} as session_hash

)

-- A session whose tests are gone keeps a row, without a date.
select
    named_sessions.session_hash,
    sessions.user_hash,
    sessions.record_key,
    coalesce(sessions.tests, 0) as tests,
    sessions.started_at,
    sessions.last_tested_at,
    sessions.first_date,
    sessions.last_date,
    sessions.session_date,
    sessions.first_success_try,
    {{ reporting_date('sessions.first_success_at') }} as first_success_date,
    state.version,
    state.basis
from named_sessions
cross join state
left join sessions
    on named_sessions.session_hash = sessions.session_hash
{{ stored_in_order_of('sessions.session_date') }}
