with

reports as (

    select * from {{ ref('int_engagement_reports') }}

),

compared as (

    select
        report_date,
        grain,
        period_start_date,
        total_users_to_date - lag(total_users_to_date) over report_order as new_users,
        total_active_users_to_date - lag(total_active_users_to_date) over report_order as new_active_users
    from reports
    window report_order as (
        partition by report_date, grain
        order by period_start_date asc
    )

)

select * from compared
where
    new_users < 0
    or new_active_users < 0
