with

release_ledger as (

    select * from {{ ref('release_ledger') }}

),

released_periods as (

    select * from {{ ref('int_released_periods') }}

),

days as (

    select
        period_start_date,
        {{ sum_of_cells('accounts', ['with_test', 'without_test']) }} as accounts_created,
        {{ sum_of_cells('accounts', ['with_test']) }} as accounts_with_tests
    from release_ledger
    where grain = 'day'
    group by period_start_date

),

periods as (

    select
        released_periods.grain,
        released_periods.period_start_date,
        cast(sum(days.accounts_created) as int64) as accounts_created,
        cast(sum(days.accounts_with_tests) as int64) as accounts_with_tests
    from released_periods
    inner join days
        on
            released_periods.period_start_date <= days.period_start_date
            and released_periods.period_end_date >= days.period_start_date
    group by released_periods.grain, released_periods.period_start_date

)

select
    grain,
    period_start_date,
    accounts_created,
    accounts_with_tests,
    {{ percentage('accounts_with_tests', 'accounts_created') }} as conversion_rate
from periods
