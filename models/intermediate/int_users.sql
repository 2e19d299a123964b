with

arrivals as (

    select * from {{ ref('int_event_arrivals') }}

),

user_days as (

    select * from {{ ref('int_user_days') }}

),

accounts as (

    select
        user_key,
        min(occurred_at) as account_created_at
    from arrivals
    where
        fate = 'counted'
        and role = 'account_created'
    group by user_key

),

active_users as (

    select
        user_key,
        min(event_date) as first_test_date
    from user_days
    group by user_key

)

select
    coalesce(accounts.user_key, active_users.user_key) as user_key,
    accounts.account_created_at,
    {{ reporting_date('accounts.account_created_at') }} as account_date,
    active_users.first_test_date
from accounts
full outer join active_users
    on accounts.user_key = active_users.user_key
