{#- How exact counts become figures that may be shown

    Each macro works on columns of one leaf: `units`, what it counts; `users`, how many people stand behind that; `noise`,
    60 bits that only the count and its contributors decide. pipelines/privacy/reference.py says the same in Python. -#}

{#- Yields what the figures are protected with; a change holds for periods not released yet. -#}
{% macro privacy_parameters() -%}
    {%- set parameters = {
        'mode': 'rounded',
        'threshold': var('privacy_threshold') | int,
        'base': var('privacy_base') | int,
        'test_cap': var('privacy_test_cap') | int,
        'session_cap': var('privacy_session_cap') | int,
        'error_cap': var('privacy_error_cap') | int,
        'lateness_days': var('privacy_lateness_days') | int,
    } -%}
    {%- if parameters.base < 5 or parameters.threshold <= parameters.base or parameters.threshold % parameters.base -%}
        {{ exceptions.raise_compiler_error('privacy_base must be at least 5, and privacy_threshold a larger multiple of it.') }}
    {%- endif -%}
    {%- if [parameters.test_cap, parameters.session_cap, parameters.error_cap, parameters.lateness_days] | min < 1 -%}
        {{ exceptions.raise_compiler_error('Each privacy_..._cap and privacy_lateness_days must be at least 1.') }}
    {%- endif -%}
    {{- return(parameters) -}}
{%- endmacro %}

{#- Yields a short name for the parameters, the same wherever they are the same. -#}
{% macro privacy_parameters_id() -%}
    {%- set said = [] -%}
    {%- for name, value in privacy_parameters().items() -%}
        {%- do said.append(name ~ '=' ~ value) -%}
    {%- endfor -%}
    {{- return(local_md5(said | join(' '))[:12]) -}}
{%- endmacro %}

{#- Yields the exclusive-or of whole numbers; 0 of none. -#}
{% macro exclusive_or(numbers) -%}
    coalesce(bit_xor({{ numbers }}), 0)
{%- endmacro %}

{#- Yields 60 bits of the SHA-256 of `cell|<key of the contributors>|<units>`, as a whole number: the first ones for the
    draw 0, and others for each further draw (see release_draws). -#}
{% macro noise_of(contributors_key, units, draw='0') -%}
    {{ return(adapter.dispatch('noise_of', 'kpi')(contributors_key, units, draw)) }}
{%- endmacro %}

{% macro default__noise_of(contributors_key, units, draw) -%}
    cast(
        concat(
            '0x', substr(sha256(concat('cell|', {{ contributors_key }}, '|', {{ units }})), 1 + 7 * {{ draw }}, 15)
        ) as bigint
    )
{%- endmacro %}

{% macro bigquery__noise_of(contributors_key, units, draw) -%}
    cast(
        concat(
            '0x',
            substr(
                to_hex(
                    sha256(
                        concat('cell|', cast({{ contributors_key }} as string), '|', cast({{ units }} as string))
                    )
                ), 1 + 7 * {{ draw }}, 15
            )
        ) as int64
    )
{%- endmacro %}

{#- Yields the count rounded to a multiple of the base, up or down, so that it is right on average. -#}
{% macro rounded_units(units, noise) -%}
    {%- set base = privacy_parameters().base -%}
    {{ units }} - mod({{ units }}, {{ base }})
    + case when mod({{ noise }}, {{ base }}) < mod({{ units }}, {{ base }}) then {{ base }} else 0 end
{%- endmacro %}

{#- Yields the figure shown for a leaf that counts people: under the threshold k it is k or 0, right on average. -#}
{% macro protected_users(units, noise) -%}
    {%- set threshold = privacy_parameters().threshold -%}
    case
        when {{ units }} >= {{ threshold }}
            then {{ rounded_units(units, noise) }}
        when mod({{ noise }}, {{ threshold }}) < {{ units }} then {{ threshold }}
        else 0
    end
{%- endmacro %}

{#- Yields the figure shown for a leaf that counts events: NULL where fewer people than the threshold stand behind it. -#}
{% macro protected_events(units, users, noise) -%}
    case
        when {{ users }} >= {{ privacy_parameters().threshold }}
            then {{ rounded_units(units, noise) }}
    end
{%- endmacro %}

{#- Yields the figure shown for tests. Beside it stands how many users made them (`shown_users`), and other figures that tell
    how many tests there were at least (`lower_bound`). Where the users are 0 it is NULL; it is never below the bound, and
    under the threshold nothing but those two: so all of them together prove no more than each does. -#}
{% macro protected_tests(units, users, noise, shown_users, lower_bound) -%}
    {%- set base = privacy_parameters().base -%}
    {%- set bound = lower_bound ~ ' + mod(' ~ base ~ ' - mod(' ~ lower_bound ~ ', ' ~ base ~ '), ' ~ base ~ ')' -%}
    case
        when {{ shown_users }} = 0 then null
        else greatest(
            case
                when {{ users }} < {{ privacy_parameters().threshold }} then {{ shown_users }}
                else {{ rounded_units(units, noise) }}
            end,
            {{ bound }}
        )
    end
{%- endmacro %}

{#- Yields the most tests that a shown figure stands for: NULL where it is withheld, or is the one that stands there for
    few users, whatever they did. -#}
{% macro most_tests_behind(value, shown_users, lower_bound) -%}
    {%- set base = privacy_parameters().base -%}
    {%- set bound = lower_bound ~ ' + mod(' ~ base ~ ' - mod(' ~ lower_bound ~ ', ' ~ base ~ '), ' ~ base ~ ')' -%}
    case when {{ value }} > greatest({{ shown_users }}, {{ bound }}) then {{ value }} + {{ base - 1 }} end
{%- endmacro %}

{#- Yields the least count that a shown figure stands for; 0 where it is withheld. -#}
{% macro least_users_behind(value) -%}
    case
        when {{ value }} > {{ privacy_parameters().threshold }} then {{ value }} - {{ privacy_parameters().base - 1 }}
        when {{ value }} > 0 then 1
        else 0
    end
{%- endmacro %}

{#- Yields how many more users than the least a shown figure must be able to stand for, whatever is shown beside it: a
    threshold must be able to be one. -#}
{% macro users_left_open(value) -%}
    case
        when {{ value }} = {{ privacy_parameters().threshold }} then {{ privacy_parameters().threshold - 1 }}
        when {{ value }} > 0 then {{ privacy_parameters().base - 1 }}
        else 0
    end
{%- endmacro %}

{#- Yields the least number of events that a shown figure stands for; 0 where it is withheld. -#}
{% macro least_events_behind(value) -%}
    case
        when {{ value }} is null then 0
        else greatest({{ value }} - {{ privacy_parameters().base - 1 }}, {{ privacy_parameters().threshold }})
    end
{%- endmacro %}

{#- Yields the most people that a shown figure stands for. -#}
{% macro most_users_behind(value) -%}
    case
        when {{ value }} = 0 then {{ privacy_parameters().threshold - 1 }}
        else {{ value }} + {{ privacy_parameters().base - 1 }}
    end
{%- endmacro %}

{#- Yields how many fewer than the most a shown figure must be able to stand for: a 0 must be able to be none. -#}
{% macro users_left_open_below(value) -%}
    case
        when {{ value }} = 0 then {{ privacy_parameters().threshold - 1 }}
        else {{ privacy_parameters().base - 1 }}
    end
{%- endmacro %}

{#- Yields how many times the chance of a period is drawn at most, until what is shown of it proves no more together than
    each figure does alone: so many parts of 15 digits, 7 apart, are in the 64 of a SHA-256. -#}
{% macro release_draws() -%}
    {{- return(8) -}}
{%- endmacro %}

{#- Yields the condition that a row is one of the figures of a period that are drawn together. -#}
{% macro is_drawn_together(relation) -%}
    {{ relation }}.family in ('engagement_users', 'error_buckets', 'tests', 'sessions', 'errors')
    and {{ relation }}.cell != 'base'
{%- endmacro %}

{#- Yields the buckets of users whose tests failed, with how many failed tests of a day a user of each has at least. -#}
{% macro failing_buckets() -%}
    {{- return({'1': 1, '2': 2, '3_to_5': 3, '6_or_more': 6}) -}}
{%- endmacro %}

{#- Yields the most users whose tests can have failed, given how many failed tests there are room for (`spare_errors`, above
    the least that each bucket needs). One bucket may be `held` at its least, or `raised` by what it must be able to have. -#}
{% macro most_users_failing(held=none, raised=none) -%}
    {%- set before = namespace(tests='0') -%}
    {%- set spare = 'spare_errors' ~ (' - ' ~ failing_buckets()[raised] ~ ' * rise_' ~ raised if raised else '') -%}
    failing_least {{ '+ rise_' ~ raised if raised }}
    {%- for bucket, weight in failing_buckets().items() if bucket not in (held, raised) %}
    + greatest(
        0, least(room_{{ bucket }}, cast(floor(({{ spare }} - ({{ before.tests }})) / {{ weight }}) as int64))
    )
    {%- set before.tests = before.tests ~ ' + ' ~ weight ~ ' * room_' ~ bucket -%}
    {%- endfor -%}
{%- endmacro %}

{#- Yields the condition that what is shown of a period leaves every count, all taken together, what it has by itself: five
    values, none for a 0, and the threshold for a threshold. Whoever had no success failed, and whoever never failed (`clean`)
    had one: so as many with a success are not clean as, of those who failed, are not without one. `_least` and `_most` are
    what the figures shown stand for, `_fall` and `_rise` what must stay open below and above that. -#}
{% macro prove_nothing_together() -%}
    {%- set successful = 'least(success_most, most_successes)' -%}
    {%- set both_by_success = 'greatest(0, success_least - clean_most)' -%}
    {%- set both_by_failure = 'greatest(0, failing_least - other_most)' -%}
    least(success_most - success_fall, most_successes) - clean_least >= {{ both_by_failure }}
    and {{ successful }} - clean_least - clean_rise >= {{ both_by_failure }}
    and {{ successful }} - clean_least >= failing_least - other_most + greatest(other_fall, failing_rise)
    and {{ most_users_failing() }} - other_least >= success_least - clean_most + greatest(success_rise, clean_fall)
    and {{ most_users_failing() }} - other_least - other_rise >= {{ both_by_success }}
    {%- for bucket, weight in failing_buckets().items() %}
    and spare_errors >= {{ weight }} * rise_{{ bucket }}
    and {{ most_users_failing(held=bucket) }} - other_least >= {{ both_by_success }}
    and {{ most_users_failing(raised=bucket) }} - other_least >= {{ both_by_success }}
    {%- endfor %}
{%- endmacro %}

{#- Yields CTEs that choose among the draws of each day, week or month (the relation `<grain>_figures`) the first by which its
    figures prove nothing together: `<grain>_settled`. Only of days tests are shown. -#}
{% macro settled_figures(grain) -%}
{%- set unlimited = 1000000 -%}
{{ grain }}_sums as (

    select
        period_start_date,
        draw,
        {% for name, (family, cells) in {
            'success': ('engagement_users', ['new_success', 'returning_success', 'success']),
            'other': ('engagement_users', ['new_other', 'returning_other', 'other']),
            'clean': ('error_buckets', ['0']),
            'failing': ('error_buckets', failing_buckets() | list),
        }.items() -%}
        sum(case when {{ is_cell(family, cells) }} then {{ least_users_behind('value') }} end) as {{ name }}_least,
        sum(case when {{ is_cell(family, cells) }} then {{ most_users_behind('value') }} end) as {{ name }}_most,
        max(case when {{ is_cell(family, cells) }} then {{ users_left_open('value') }} end) as {{ name }}_rise,
        max(case when {{ is_cell(family, cells) }} then {{ users_left_open_below('value') }} end) as {{ name }}_fall,
        {% endfor -%}
        {% for bucket in failing_buckets() -%}
        sum(
            case
                when {{ is_cell('error_buckets', [bucket]) }}
                    then ({{ most_users_behind('value') }}) - ({{ least_users_behind('value') }})
            end
        ) as room_{{ bucket }},
        sum(case when {{ is_cell('error_buckets', [bucket]) }} then {{ users_left_open('value') }} end) as rise_{{ bucket }},
        {% endfor -%}
        sum(
            {{ least_users_behind('value') }}
            * case
                {% for bucket, weight in failing_buckets().items() -%}
                when {{ is_cell('error_buckets', [bucket]) }} then {{ weight }}
                {% endfor -%}
            end
        ) as least_failed_tests,
        {% if grain == 'day' -%}
        coalesce(
            min(
                case
                    when {{ is_cell('tests', ['success']) }}
                        then {{ most_tests_behind('value', 'users_with_success', 'least_successes') }}
                end
            ), {{ unlimited }}
        ) as most_successes,
        min(
            case
                when {{ is_cell('tests', ['error']) }}
                    then {{ most_tests_behind('value', 'users_with_error', 'least_errors') }}
            end
        ) as most_errors
        {%- else -%}
        {{ unlimited }} as most_successes,
        cast(null as int64) as most_errors
        {%- endif %}
    from {{ grain }}_figures
    group by period_start_date, draw

),

{{ grain }}_bounds as (

    select
        *,
        coalesce(most_errors - least_failed_tests, {{ unlimited }}) as spare_errors
    from {{ grain }}_sums

),

{{ grain }}_draws as (

    select
        period_start_date,
        coalesce(min(case when {{ prove_nothing_together() }} then draw end), max(draw)) as draw
    from {{ grain }}_bounds
    group by period_start_date

),

{{ grain }}_settled as (

    select
        figures.family,
        figures.grain,
        figures.period_start_date,
        figures.cell,
        figures.value
    from {{ grain }}_figures as figures
    inner join {{ grain }}_draws as draws
        on
            figures.period_start_date = draws.period_start_date
            and figures.draw = draws.draw

)
{%- endmacro %}

{#- Yields the cells of every family of leaves, by grain, in order. -#}
{% macro release_cells() -%}
    {%- set buckets = ['0', '1', '2', '3_to_5', '6_or_more'] -%}
    {{- return({
        'engagement_users': {
            'day': ['new_success', 'new_other', 'returning_success', 'returning_other'],
            'week': ['success', 'other'],
            'month': ['success', 'other'],
        },
        'error_buckets': {'day': buckets, 'week': buckets, 'month': buckets},
        'accounts': {'day': ['with_test', 'without_test']},
        'tests': {'day': ['success', 'error']},
        'sessions': {'day': ['first_try', 'second_try', 'third_or_later', 'unsuccessful']},
        'errors': {'day': error_columns() + ['other']},
        'late_events': {'month': ['events']},
    }) -}}
{%- endmacro %}

{#- Yields the condition that a row is of a family, and one of the cells. -#}
{% macro is_cell(family, cells, relation=none) -%}
    {%- set of = relation ~ '.' if relation else '' -%}
    {{ of }}family = '{{ family }}' and {{ of }}cell in ('{{ cells | join("', '") }}')
{%- endmacro %}

{#- Yields the sum of the shown values of some cells; NULL where all of them are withheld. -#}
{% macro sum_of_cells(family, cells) -%}
    sum(case when {{ is_cell(family, cells) }} then value end)
{%- endmacro %}

{#- Yields a query for those cells: one row per family, grain and cell. -#}
{% macro release_cell_rows() -%}
    {%- set rows = [] -%}
    {%- for family, grains in release_cells().items() -%}
        {%- for grain, cells in grains.items() -%}
            {%- for cell in cells -%}
                {%- do rows.append("select '" ~ family ~ "' as family, '" ~ grain ~ "' as grain, '" ~ cell ~ "' as cell") -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endfor -%}
    {{ rows | join(' union all\n    ') }}
{%- endmacro %}

{#- Yields a query for the first days of the periods given, by grain. -#}
{% macro period_rows(periods) -%}
    {%- for grain, (first, last) in periods.items() -%}
    select
        '{{ grain }}' as grain,
        cast(period_day as date) as period_start_date
    from {{ unnested_days("cast('" ~ first ~ "' as date)", "cast('" ~ last ~ "' as date)", 'period_day') }}
    where cast(period_day as date) = {{ period_start(grain, 'cast(period_day as date)') }}
    {{ 'union all' if not loop.last }}
    {% endfor -%}
{%- endmacro %}

{#- Yields the first day that is ever released, as a text: a matter of the calendar and not of the data, so that it tells
    nothing. What was before it is in the cells `base`. -#}
{% macro first_day_to_release(newest_report) -%}
    {%- set months = newest_report.year * 12 + newest_report.month - 1 - (var('report_periods') + 1) -%}
    {{- return(modules.datetime.date(months // 12, months % 12 + 1, 1).isoformat()) -}}
{%- endmacro %}

{#- Yields first and last period to be released now, by grain, as texts: those after the last one released which
    ended long enough before the newest report. -#}
{% macro unreleased_periods() -%}
    {%- set report_dates, load_days = ref('report_dates'), ref('int_load_days') -%}
    {#- Nothing is built yet when a model is only parsed or compiled. -#}
    {%- if not execute or load_relation(report_dates) is none or load_relation(load_days) is none -%}
        {{- return({'day': ['2000-01-03', '2000-01-03']}) -}}
    {%- endif -%}
    {%- set found = {} -%}
    {%- set newest_report = (first_column('select max(report_date) from ' ~ report_dates) or [none])[0] -%}
    {%- if newest_report is none or not first_column('select 1 from ' ~ load_days ~ ' limit 1') -%}
        {{- return(found) -}}
    {%- endif -%}
    {%- set last_day = newest_report - modules.datetime.timedelta(privacy_parameters().lateness_days) -%}
    {%- for grain, days in {'day': 1, 'week': 7, 'month': 32}.items() -%}
        {%- set released = is_incremental() and first_column(
            "select max(period_start_date) from " ~ this ~ " where grain = '" ~ grain ~ "'"
        )[0] -%}
        {%- if released -%}
            {%- set first = released + modules.datetime.timedelta(days) -%}
        {%- else -%}
            {%- set first = modules.datetime.date.fromisoformat(first_day_to_release(newest_report)) -%}
        {%- endif -%}
        {%- if grain == 'day' -%}
            {%- set last = last_day -%}
        {%- elif grain == 'week' -%}
            {%- set first = first + modules.datetime.timedelta(-first.weekday() % 7) -%}
            {%- set ended = last_day - modules.datetime.timedelta(6) -%}
            {%- set last = ended - modules.datetime.timedelta(ended.weekday()) -%}
        {%- else -%}
            {%- set first = first.replace(day=1) -%}
            {%- set next_month = (last_day + modules.datetime.timedelta(1)).replace(day=1) -%}
            {%- set last = (next_month - modules.datetime.timedelta(1)).replace(day=1) -%}
        {%- endif -%}
        {%- if first <= last -%}
            {%- do found.update({grain: [first.isoformat(), last.isoformat()]}) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro %}

{#- Yields the condition that a leaf is of one of the periods given. -#}
{% macro is_of_periods(periods) -%}
    (
        {%- for grain, (first, last) in periods.items() %}
        (
            grain = '{{ grain }}'
            and period_start_date >= cast('{{ first }}' as date)
            and period_start_date <= cast('{{ last }}' as date)
        )
        {{ 'or' if not loop.last }}
        {%- else %}
        false
        {%- endfor %}
    )
{%- endmacro %}

{#- Yields nothing; ends the build where an export shows figures that the ledger lacks, since measuring them a second time
    would tell what the first time kept back. Exports lie beside an embedded warehouse. -#}
{% macro refuse_to_release_again() -%}
    {%- if execute and target.type == 'duckdb' -%}
        {%- set warehouse = env_var('KPI_DUCKDB_PATH', 'warehouse.duckdb') -%}
        {%- set folder = env_var('KPI_EXPORTS_PATH', warehouse.rsplit('/', 1)[0] ~ '/exports' if '/' in warehouse else 'exports') -%}
        {%- set exports = first_column("select max(file) from glob('" ~ folder | replace("'", "''") ~ "/[0-9]*/release_ledger.parquet')") -%}
        {%- if exports[0] -%}
            {%- set shown = 'select family, grain, period_start_date, cell, value from read_parquet(\'' ~ exports[0] | replace("'", "''") ~ '\')' -%}
            {%- set kept = ' except select family, grain, period_start_date, cell, value from ' ~ this if load_relation(this) else '' -%}
            {%- set lacking = first_column('select count(*) from (' ~ shown ~ kept ~ ')')[0] -%}
            {%- if lacking -%}
                {{ exceptions.raise_compiler_error(
                    exports[0] ~ ' shows ' ~ lacking ~ ' figures that are not in this warehouse: nothing is released, because to '
                    ~ 'measure a period twice tells what protection kept back. Bring the ledger back first: kpi privacy restore ' ~ folder
                ) }}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
