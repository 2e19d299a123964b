-- The yardstick of `python -m bench builds`: the tables of one report date, straight from the raw table, as a person
-- would write them who never has to do it again.
create schema hand;
create table hand.report as
with dates as (
    select date '{report_date}' as report_date, unnest(range(13))::int as age
), starts as (
    select 'day' as grain, report_date - age as start_date, report_date - age as end_date, age from dates
    union all
    select 'week', date_trunc('week', report_date)::date - 7 * age, date_trunc('week', report_date)::date - 7 * age + 6, age from dates
    union all
    select 'month', (date_trunc('month', report_date) - to_months(age))::date,
        (date_trunc('month', report_date) - to_months(age - 1))::date - 1, age from dates
)
select *, least(end_date, date '{report_date}') as as_of_date from starts;

create table hand.events as
with repeated as (
    select event_id from raw_events.events group by event_id having count(*) > 1
), settled as (
    select events.* from raw_events.events semi join repeated using (event_id)
    qualify row_number() over (
        partition by event_id
        order by received_at nulls last, occurred_at, event_key, service_key nulls first, session_id nulls first,
            status nulls first, error_code nulls first, is_test, user_key nulls first, loaded_at, _dlt_load_id,
            source_file, line_number
    ) = 1
), winners as (
    from raw_events.events anti join repeated using (event_id)
    union all
    from settled
)
select event_id, user_key, coalesce('s' || session_id, 'e' || event_id) as session_key, status, error_code,
    role, occurred_at, timezone('UTC', occurred_at)::date as event_date
from winners inner join (values ('test_completed', 'test'), ('account_created', 'account_created')) as roles (event_key, role)
    using (event_key)
where not is_test and (role != 'test' or status in ('success', 'error')) and (role = 'test' or user_key is not null);

create table hand.fates as
select loaded_at::date as load_date, count(*) as lines from raw_events.events group by all;

create table hand.user_days as
select user_key, event_date, count(*) as tests, count_if(status = 'success') as successes,
    count_if(status = 'error') as failures
from hand.events where role = 'test' and user_key is not null group by all;

create table hand.test_days as
select event_date, case when status = 'error' then coalesce(error_code, '(none)') end as error_code, count(*) as tests
from hand.events where role = 'test' group by all;

create table hand.sessions as
with numbered as (
    select user_key, session_key, status, event_date,
        row_number() over (partition by user_key, session_key order by occurred_at, event_id) as try_number
    from hand.events where role = 'test'
)
select user_key, session_key, max(event_date) filter (try_number = 1) as session_date,
    min(try_number) filter (status = 'success') as first_success_try,
    min(event_date) filter (status = 'success') as first_success_date
from numbered group by all;

create table hand.users as
select coalesce(accounts.user_key, active.user_key) as user_key, account_date, first_test_date
from (select user_key, min(event_date) as account_date from hand.events where role = 'account_created' group by all) as accounts
full join (select user_key, min(event_date) as first_test_date from hand.user_days group by all) as active using (user_key);

create table hand.period_users as
with totals as (
    select grain, start_date, user_key, sum(successes) as successes, sum(failures) as failures
    from hand.report join hand.user_days on event_date between start_date and as_of_date group by all
), ranked as (
    select *, row_number() over (partition by grain, start_date order by failures) as place,
        count(*) over (partition by grain, start_date) as users
    from totals
)
select grain, start_date, count(*) as active_users, count_if(successes > 0) as successful_users,
    sum((2 * place - users - 1) * failures) / nullif(max(users) * sum(failures), 0) as gini
from ranked group by all;

create table hand.engagement as
select grain, start_date, sum(tests) as all_tests, sum(tests) filter (error_code is null) as successful_tests,
    any_value(active_users) as active_users, any_value(successful_users) as successful_users,
    any_value((select count(*) from hand.users where account_date <= as_of_date)) as users_to_date,
    any_value((select count(*) from hand.users where first_test_date <= as_of_date)) as active_to_date
from hand.report left join hand.test_days on event_date between start_date and as_of_date
left join hand.period_users using (grain, start_date) group by all;

create table hand.errors as
select grain, start_date, error_code, sum(tests) as tests
from hand.report join hand.test_days on event_date between start_date and as_of_date where error_code is not null group by all;

create table hand.advanced as
select grain, start_date, sum(sessions) as sessions, first_success_try, first_success_date <= date '{report_date}' as is_known
from hand.report join (
    select session_date, least(first_success_try, 3) as first_success_try, first_success_date, count(*) as sessions
    from hand.sessions group by all
) on session_date between start_date and as_of_date group by all;

create table hand.funnel as
select grain, start_date, count(*) as accounts, count_if(first_test_date <= date '{report_date}') as converted
from hand.report join hand.users on account_date between start_date and as_of_date group by all;
