{{ config(**replaces_rows('user_hash', follows='int_user_days', cluster_by=['user_hash'])) }}
{%- set days = stale_days() %}
{%- set users_of_days %}
-- What the days that changed say now; all days where everything is built.
changed_users as (

    select
        user_hash,
        min(account_created_at) as account_created_at,
        min(case when tests > 0 then event_date end) as first_test_date
    from {{ ref('int_user_days') }}
    where
        user_hash is not null
        and {{ is_one_of('event_date', days) }}
    group by user_hash

){%- if days is not none %},

stored_users as (

    select
        *,
        coalesce({{ is_one_of('account_date', days) }}, false) as has_changed_account_date,
        coalesce({{ is_one_of('first_test_date', days) }}, false) as has_changed_test_date
    from {{ this }}

),

-- What came first stays first unless it lay on a day that changed and is no longer there.
compared_users as (

    select
        coalesce(changed_users.user_hash, stored_users.user_hash) as user_hash,
        coalesce(
            least(changed_users.account_created_at, stored_users.account_created_at),
            changed_users.account_created_at,
            stored_users.account_created_at
        ) as account_created_at,
        coalesce(
            least(changed_users.first_test_date, stored_users.first_test_date),
            changed_users.first_test_date,
            stored_users.first_test_date
        ) as first_test_date,
        coalesce(
            stored_users.has_changed_account_date
            and coalesce(changed_users.account_created_at > stored_users.account_created_at, true)
            or stored_users.has_changed_test_date
            and coalesce(changed_users.first_test_date > stored_users.first_test_date, true),
            false
        ) as has_lost_a_first
    from changed_users
    full outer join stored_users
        on changed_users.user_hash = stored_users.user_hash
    where
        changed_users.user_hash is not null
        or stored_users.has_changed_account_date
        or stored_users.has_changed_test_date

)
{%- endif %}
{%- endset %}
{#- Whoever lost a first is looked for in all days; DuckDB does not read them for nobody. #}
{%- set has_searched_users = days is not none and (
    target.type == 'duckdb'
    or first_column('with ' ~ users_of_days ~ ' select count(*) from compared_users where has_lost_a_first')[0]
) %}

-- Large tables are named where they are read: DuckDB writes down whole what several CTEs read from one.
with

state as (

    select
        max(version) as version,
        max(basis) as basis
    from {{ ref('int_user_days') }}
    where {{ rows_that_tell(ref('int_user_days')) }}

),

{{ users_of_days }},

{% if days is none -%}
users as (

    select * from changed_users

),
{%- else -%}
{% if has_searched_users -%}
searched_users as (

    select
        compared_users.user_hash,
        min(user_days.account_created_at) as account_created_at,
        min(case when user_days.tests > 0 then user_days.event_date end) as first_test_date
    from compared_users
    left join {{ ref('int_user_days') }} as user_days
        on compared_users.user_hash = user_days.user_hash
    where compared_users.has_lost_a_first
    group by compared_users.user_hash

),

{% endif -%}
users as (

    select
        user_hash,
        account_created_at,
        first_test_date
    from compared_users
    where not has_lost_a_first
    {%- if has_searched_users %}

    union all

    select
        user_hash,
        account_created_at,
        first_test_date
    from searched_users
    {%- endif %}

),
{%- endif %}

-- The user without a name says from what all were made, whichever changed.
with_state as (

    select * from users

    union all

    select
        {{ hash_128("''") }} as user_hash,
        cast(null as {{ timestamp_type() }}) as account_created_at,
        cast(null as date) as first_test_date

)

select
    with_state.user_hash,
    with_state.account_created_at,
    {{ reporting_date('with_state.account_created_at') }} as account_date,
    with_state.first_test_date,
    state.version,
    state.basis
from with_state
cross join state
