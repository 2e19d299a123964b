with

release_ledger as (

    select * from {{ ref('release_ledger') }}

),

released_periods as (

    select * from {{ ref('int_released_periods') }}

),

-- Sums of cells leave out what is withheld; they are NULL where all of it is.
days as (

    select
        period_start_date,
        {% for error_column in error_columns() -%}
        {{ sum_of_cells('errors', [error_column]) }} as {{ error_column }},
        {% endfor -%}
        {{ sum_of_cells('errors', error_columns() + ['other']) }} as total_errors
    from release_ledger
    where grain = 'day'
    group by period_start_date

),

periods as (

    select
        released_periods.grain,
        released_periods.period_start_date,
        {% for error_column in error_columns() -%}
        cast(sum(days.{{ error_column }}) as int64) as {{ error_column }},
        {% endfor -%}
        cast(sum(days.total_errors) as int64) as total_errors
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
    {% for error_column in error_columns() -%}
    {{ error_column }},
    {% endfor -%}
    total_errors
from periods
