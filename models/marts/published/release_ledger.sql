{{
    config(
        materialized='incremental',
        incremental_strategy='append' if target.type == 'duckdb' else 'merge',
        unique_key=none if target.type == 'duckdb' else ['family', 'grain', 'period_start_date', 'cell'],
        merge_update_columns=none if target.type == 'duckdb' else ['cell'],
        full_refresh=false,
        on_schema_change='fail'
    )
}}
{#- A row that is there stays as it is: on BigQuery a second run at the same time sets its cell to what it is. #}
{{- refuse_to_release_again() }}
{%- set has_released = is_incremental() and first_column('select 1 from ' ~ this ~ ' limit 1') | length > 0 %}
{%- set periods = unreleased_periods() %}
{%- set margin = privacy_parameters().base - 1 %}

-- depends_on: {{ ref('release_parameters') }}
-- depends_on: {{ ref('report_dates') }}
-- depends_on: {{ ref('int_load_days') }}
-- depends_on: {{ ref('int_events') }}
{% if periods -%}
-- Large tables are named where they are read, so that the filters reach them.
with

key_fingerprints as (

    select * from {{ ref('stg_events__key_fingerprints') }}

),

newest_key as (

    select record_key_id
    from key_fingerprints
    order by loaded_at desc, record_key_id asc
    limit 1

),

periods as (

    {{ period_rows(periods) }}

),

cells as (

    {{ release_cell_rows() }}

),

{% if has_released -%}
released_days as (

    select
        period_start_date as event_date,
        min(released_at) as released_at
    from {{ this }}
    where grain = 'day'
    group by period_start_date

),

late_users as (

    select
        {{ period_start('month', reporting_date('late_events.loaded_at')) }} as period_start_date,
        late_events.user_key,
        min(late_events.record_key) as record_key,
        count(*) as events
    from {{ ref('int_events') }} as late_events
    inner join released_days
        on late_events.event_date = released_days.event_date
    where
        late_events.fate = 'counted'
        and late_events.loaded_at > released_days.released_at
        and {{ 'true' if 'month' in periods else 'false' }}
    group by {{ period_start('month', reporting_date('late_events.loaded_at')) }}, late_events.user_key

),

-- What came too late for a released day, by the month in which it came.
further_leaves as (

    select
        'late_events' as family,
        'month' as grain,
        period_start_date,
        'events' as cell,
        sum(events) as units,
        count(*) as users,
        {{ exclusive_or('record_key') }} as contributors_key
    from late_users
    group by period_start_date

),

further_cells as (

    select
        family,
        grain,
        period_start_date,
        cell
    from further_leaves
    where false

),
{%- else -%}
-- Users of before the first day released: each was in one of these cells on one day.
further_leaves as (

    select
        family,
        'day' as grain,
        cast('{{ periods.day[0] }}' as date) as period_start_date,
        'base' as cell,
        sum(units) as units,
        sum(users) as users,
        {{ exclusive_or('contributors_key') }} as contributors_key
    from {{ ref('int_leaves') }}
    where
        grain = 'day'
        and period_start_date < cast('{{ periods.day[0] }}' as date)
        and (family = 'accounts' or cell in ('new_success', 'new_other'))
    group by family

),

further_cells as (

    select
        family,
        grain,
        cast('{{ periods.day[0] }}' as date) as period_start_date,
        'base' as cell
    from cells
    where
        grain = 'day'
        and family in ('accounts', 'engagement_users')
    group by family, grain

),
{%- endif %}

leaves as (

    select * from {{ ref('int_leaves') }}
    where {{ is_of_periods(periods) }}

    union all

    select * from further_leaves

),

-- Every cell of a released period has a row, also where nobody is in it.
all_cells as (

    select
        cells.family,
        cells.grain,
        periods.period_start_date,
        cells.cell
    from cells
    inner join periods
        on cells.grain = periods.grain

    union all

    select * from further_cells

),

measured as (

    select
        all_cells.family,
        all_cells.grain,
        all_cells.period_start_date,
        all_cells.cell,
        cast(coalesce(leaves.units, 0) as int64) as units,
        cast(coalesce(leaves.users, 0) as int64) as users,
        coalesce(leaves.contributors_key, 0) as contributors_key
    from all_cells
    left join leaves
        on
            all_cells.family = leaves.family
            and all_cells.grain = leaves.grain
            and all_cells.period_start_date = leaves.period_start_date
            and all_cells.cell = leaves.cell

),

-- Figures of the same people are drawn together, again where together they prove what none of them does alone.
draws as (

    {% for draw in range(release_draws()) -%}
    select {{ draw }} as draw {{ 'union all' if not loop.last }}
    {% endfor %}
),

drawn as (

    select
        measured.*,
        draws.draw
    from measured
    inner join draws
        on
            draws.draw = 0
            or {{ is_drawn_together('measured') }}

),

with_noise as (

    select
        *,
        {{ noise_of('contributors_key', 'units', 'draw') }} as noise
    from drawn

),

either_way as (

    select
        *,
        {{ protected_users('units', 'noise') }} as value_for_users,
        {{ protected_events('units', 'users', 'noise') }} as value_for_events
    from with_noise

),

shown as (

    select
        *,
        case
            when family in ('engagement_users', 'error_buckets', 'accounts') then value_for_users
            else value_for_events
        end as shown_value
    from either_way

),

bounded as (

    select
        *,
        {{ least_users_behind('shown_value') }} as least_users,
        {{ least_events_behind('shown_value') }} as least_events,
        {{ users_left_open('shown_value') }} as open_users
    from shown

),

-- What else is shown of a period tells how many tests there were at least.
sums_of_periods as (

    select
        grain,
        period_start_date,
        draw,
        {{ over_cells('sum', 'engagement_users', ['new_success', 'returning_success'], 'shown_value') }}
            as users_with_success,
        {{ over_cells('sum', 'error_buckets', ['1', '2', '3_to_5', '6_or_more'], 'shown_value') }}
            as users_with_error,
        greatest(
            {{ over_cells('sum', 'engagement_users', ['new_success', 'returning_success'], 'least_users') }}
            + greatest(
                0,
                {{ over_cells('sum', 'engagement_users', ['new_success'], 'open_users') }} - {{ margin }},
                {{ over_cells('sum', 'engagement_users', ['returning_success'], 'open_users') }} - {{ margin }}
            ),
            {{ over_cells('sum', 'sessions', ['first_try'], 'least_events') }}
        ) as least_successes,
        greatest(
            {{ over_cells('sum', 'error_buckets', ['1'], 'least_users') }}
            + 2 * {{ over_cells('sum', 'error_buckets', ['2'], 'least_users') }}
            + 3 * {{ over_cells('sum', 'error_buckets', ['3_to_5'], 'least_users') }}
            + 6 * {{ over_cells('sum', 'error_buckets', ['6_or_more'], 'least_users') }}
            + greatest(
                0,
                {{ over_cells('sum', 'error_buckets', ['1'], 'open_users') }} - {{ margin }},
                2 * {{ over_cells('sum', 'error_buckets', ['2'], 'open_users') }} - {{ margin }},
                3 * {{ over_cells('sum', 'error_buckets', ['3_to_5'], 'open_users') }} - {{ margin }},
                6 * {{ over_cells('sum', 'error_buckets', ['6_or_more'], 'open_users') }} - {{ margin }}
            ),
            {{ over_cells('sum', 'errors', error_columns() + ['other'], 'least_events') }},
            {{ over_cells('sum', 'sessions', ['second_try', 'third_or_later', 'unsuccessful'], 'least_events') }}
        ) as least_errors
    from bounded
    group by grain, period_start_date, draw

),

beside as (

    select
        bounded.*,
        sums_of_periods.users_with_success,
        sums_of_periods.users_with_error,
        sums_of_periods.least_successes,
        sums_of_periods.least_errors
    from bounded
    inner join sums_of_periods
        on
            bounded.grain = sums_of_periods.grain
            and bounded.period_start_date = sums_of_periods.period_start_date
            and bounded.draw = sums_of_periods.draw

),

protected as (

    select
        *,
        case
            when {{ is_cell('tests', ['success']) }}
                then {{ protected_tests('units', 'users', 'noise', 'users_with_success', 'least_successes') }}
            when {{ is_cell('tests', ['error']) }}
                then {{ protected_tests('units', 'users', 'noise', 'users_with_error', 'least_errors') }}
            else shown_value
        end as value
    from beside

),

day_figures as (

    select *
    from protected
    where
        grain = 'day'
        and {{ is_drawn_together('protected') }}

),

{{ settled_figures('day') }},

{%- for grain, shorter_grains in {'week': ['day'], 'month': ['day', 'week']}.items() if grain in periods %}

{{ grain }}_shorter as (

    {% for shorter in shorter_grains if shorter in periods -%}
    select * from {{ shorter }}_settled
    {{ 'union all' if is_incremental() or not loop.last }}
    {% endfor -%}
    {% if is_incremental() -%}
    select
        family,
        grain,
        period_start_date,
        cell,
        value
    from {{ this }}
    where
        grain in ('{{ shorter_grains | join("', '") }}')
        and cell != 'base'
        and period_start_date >= cast('{{ periods[grain][0] }}' as date)
    {%- endif %}

),

{{ lifted_figures(grain, 'protected', grain ~ '_shorter') }},

{{ settled_figures(grain) }},
{%- endfor %}

settled as (

    select
        family,
        grain,
        period_start_date,
        cell,
        value
    from protected
    where not ({{ is_drawn_together('protected') }})
    {%- for grain in ['day', 'week', 'month'] if grain in periods %}

    union all

    select * from {{ grain }}_settled
    {%- endfor %}

)

select
    settled.family,
    settled.grain,
    settled.period_start_date,
    settled.cell,
    cast(settled.value as int64) as value,
    '{{ privacy_parameters_id() }}' as parameters_id,
    coalesce(newest_key.record_key_id, 'none') as key_id,
    {{ built_at() }} as released_at
from settled
left join newest_key
    on true
{{ stored_in_order_of('settled.period_start_date, settled.grain, settled.family, settled.cell') }}
{%- else -%}
-- No period has ended long enough ago that is not released yet.
select
    cast(null as string) as family,
    cast(null as string) as grain,
    cast(null as date) as period_start_date,
    cast(null as string) as cell,
    cast(null as int64) as value,
    cast(null as string) as parameters_id,
    cast(null as string) as key_id,
    {{ built_at() }} as released_at
from {{ ref('release_parameters') }}
where false
{%- endif %}
