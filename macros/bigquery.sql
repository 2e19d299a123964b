{#- What keeps a daily build on BigQuery cheap

    BigQuery bills what a statement's filters leave of a table, and only constants leave partitions out. So what a run is to
    read is asked for first, in small tables, and written into the statement: which days, of which loads. On DuckDB each of
    these macros yields what says nothing more. -#}

{#- Yields a table of the intermediate layer beside another one, whether it is there yet or not. -#}
{% macro beside(relation, name) -%}
    {{- return(api.Relation.create(database=relation.database, schema=relation.schema, identifier=name)) -}}
{%- endmacro %}

{#- Yields the days that the newest ten batches touched, as texts; none where that is not known yet. Whatever was built last
    lies on one of them, or will be built once more. -#}
{% macro newest_days(relation) -%}
    {%- set load_days = beside(relation, 'int_load_days') -%}
    {#- What a unit test gives lies in no schema. -#}
    {%- if not execute or relation.schema is none or load_relation(load_days) is none -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set days = first_column(
        'with newest as (select version from ' ~ load_days ~ ' group by version order by version desc limit 10)'
        ~ ' select event_date from ' ~ load_days ~ ' where version >= (select min(version) from newest)'
        ~ ' group by event_date order by event_date'
    ) -%}
    {{- return(days | map('string') | list or none) -}}
{%- endmacro %}

{#- Yields the condition on the rows of a table that tell from what all of them were made; true on DuckDB. -#}
{% macro rows_that_tell(relation) -%}
    {%- if target.type == 'duckdb' or relation.identifier in ('int_users', 'int_period_users', 'int_load_days', 'int_report_versions') -%}
        true
    {%- elif relation.identifier == 'int_sessions' -%}
        last_date is null
    {%- elif relation.identifier.endswith('_reports') -%}
        true
    {%- else -%}
        {{ is_one_of('event_date', newest_days(relation)) }}
    {%- endif -%}
{%- endmacro %}

{#- Yields the condition that a row lies on one of the days that the newest batches touched: what the last run wrote does, so
    that data tests need not read the rest; true on DuckDB. -#}
{% macro lies_on_newest_days(relation) -%}
    {%- if target.type == 'duckdb' -%}
        true
    {%- else -%}
        {{ is_one_of('last_date' if relation.identifier == 'int_sessions' else 'event_date', newest_days(relation)) }}
    {%- endif -%}
{%- endmacro %}

{#- Yields the highest value of a column, from the rows that tell, else from all; none where there are no rows. -#}
{% macro highest(column, relation) -%}
    {%- set rows = rows_that_tell(relation) -%}
    {%- set found = (first_column('select max(' ~ column ~ ') from ' ~ relation ~ ' where ' ~ rows) or [none])[0] -%}
    {%- if found is none and rows | trim != 'true' -%}
        {%- set found = (first_column('select max(' ~ column ~ ') from ' ~ relation) or [none])[0] -%}
    {%- endif -%}
    {{- return(found) -}}
{%- endmacro %}

{#- Yields the days that changed since this model was built, as stale_days does: first by the small table of loads, then, on
    those days alone, by the model that is followed. -#}
{% macro bigquery_stale_days(follows) -%}
    {%- set version = highest('version', this) or 0 -%}
    {%- set changed = "select event_date from {} where version > " ~ version ~ " and {} group by event_date order by event_date" -%}
    {%- set days = first_column(changed.format(beside(this, 'int_load_days'), 'true')) | map('string') | list -%}
    {%- if days and follows != 'int_load_days' -%}
        {%- set days = first_column(changed.format(ref(follows), is_one_of('event_date', days))) | map('string') | list -%}
    {%- endif -%}
    {{- return(days) -}}
{%- endmacro %}

{#- Yields what a run has to settle: `loads`, those that no earlier run knew, and `days`, on which their lines lie or other
    lines of the same event ids. -#}
{% macro arrivals_to_settle() -%}
    {%- set load_days = beside(this, 'int_load_days') -%}
    {%- set known = load_days if load_relation(load_days) is not none else this -%}
    {%- set loads = first_column(
        'select files.load_id from ' ~ ref('stg_events__files') ~ ' as files'
        ~ ' inner join ' ~ ref('stg_events__loads') ~ ' as loads on files.load_id = loads.load_id'
        ~ ' left join (select load_id from ' ~ known ~ ' group by load_id) as known on files.load_id = known.load_id'
        ~ ' where files.events > 0 and known.load_id is null group by files.load_id order by files.load_id'
    ) | map('string') | list -%}
    {%- if not loads -%}
        {{- return({'loads': [], 'days': []}) -}}
    {%- endif -%}
    {%- set lines = ref('stg_events__events') ~ " where load_id in ('" ~ loads | join("', '") ~ "')" -%}
    {%- set days = first_column('select event_date from ' ~ lines ~ ' group by event_date order by event_date') | map('string') | list -%}
    {%- set returned = first_column(
        'select known.event_date from ' ~ this ~ ' as known inner join (select ' ~ hash_64('event_id') ~ ' as event_hash from '
        ~ lines ~ ' and ' ~ falls_on(days) ~ ' group by event_hash) as come on known.event_hash = come.event_hash'
        ~ ' group by known.event_date order by known.event_date'
    ) | map('string') | list -%}
    {{- return({'loads': loads, 'days': (days + returned) | unique | sort}) -}}
{%- endmacro %}

{#- Yields nothing; refuses to make all history anew where raw events of it are gone: what they counted would be lost. -#}
{% macro refuse_to_lose_history() -%}
    {%- set days = env_var('KPI_RAW_RETENTION_DAYS', '400') | int -%}
    {%- set is_gone = days and first_column(
        'select min(event_date) < date_sub(date(' ~ built_at() ~ '), interval ' ~ days ~ ' day) from ' ~ this
    )[0] -%}
    {%- if is_gone -%}
        {{ exceptions.raise_compiler_error(
            'History has to be made anew, because the roles of events, the reporting zone, a definition or the users erased '
            ~ 'changed; but raw events expire after ' ~ days ~ ' days, and those of older days are gone. To go on without '
            ~ 'the days before that: kpi build --full-refresh. Else undo the change.'
        ) }}
    {%- endif -%}
{%- endmacro %}

{#- Yields the days of the periods that are to be built, as texts; none where all are read. `periods_to_build` are the CTEs
    that find them. -#}
{% macro stale_period_days(periods_to_build) -%}
    {%- if target.type == 'duckdb' or not is_incremental() -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set days = first_column(
        'with ' ~ periods_to_build ~ ' select period_days.period_date from period_days inner join stale_periods'
        ~ ' on period_days.grain = stale_periods.grain and period_days.period_start_date = stale_periods.period_start_date'
        ~ ' and period_days.as_of_date = stale_periods.as_of_date'
        ~ ' group by period_days.period_date order by period_days.period_date'
    ) -%}
    {{- return(days | map('string') | list) -}}
{%- endmacro %}

{#- Yields a note for the merge: the condition that its target rows meet, so that it leaves other partitions alone. -#}
{% macro merge_window(condition) -%}
    {%- if target.type == 'bigquery' and is_incremental() -%}
        /* window of the merge: {{ condition }} */
    {%- endif -%}
{%- endmacro %}

{#- Yields dbt's merge, within the window that the model notes. -#}
{% macro get_merge_sql(target, source, unique_key, dest_columns, incremental_predicates=none) -%}
    {%- set noted = modules.re.search('window of the merge: (.*?) \\*/', source) -%}
    {%- set predicates = (incremental_predicates or []) + ([noted.group(1)] if noted else []) -%}
    {{ return(adapter.dispatch('get_merge_sql', 'dbt')(target, source, unique_key, dest_columns, predicates)) }}
{%- endmacro %}

{#- Yields the condition that a date may lie in a period of a grain that is not released yet, by what the ledger held before
    this run; true on DuckDB, and before anything was released. -#}
{% macro may_be_released(grain, date) -%}
    {%- set first_day = first_unreleased_day(grain) if target.type == 'bigquery' else none -%}
    {%- if first_day is none -%}
        true
    {%- else -%}
        {{ date }} >= cast('{{ first_day }}' as date)
    {%- endif -%}
{%- endmacro %}

{#- Yields the first day after the periods of a grain that were released before this run, as a text; none before the first. -#}
{% macro first_unreleased_day(grain) -%}
    {#- By its name: the ledger is made from what asks this. -#}
    {%- set ledger = api.Relation.create(
        database=this.database, schema=env_var('KPI_SCHEMA_PREFIX', '') ~ 'kpi_metrics', identifier='release_ledger'
    ) -%}
    {%- if not execute or load_relation(ledger) is none -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set found = first_column(
        "select coalesce(max(case when grain = '" ~ grain ~ "' then " ~ date_plus('period_start_date', 1, grain) ~ ' end),'
        ~ " min(case when grain = 'day' then period_start_date end)) from " ~ ledger
    )[0] -%}
    {{- return(found if found is none else found | string) -}}
{%- endmacro %}
