{#- How the stored rows of a model are kept up to date

    int_event_arrivals gives every arrival the number of the batch that settled it, and int_load_days tells for each
    day the newest batch that touched it: its version. Each model below keeps the version that its rows were made
    from; what is newer than that in the model it follows is made again, however old the day. So it does not matter
    after which model a run was killed. `basis` is the batch of the last full refresh: a model with another one than
    the model it follows is made anew. -#}

{#- Yields the first column of what a query finds; nothing while dbt only parses. -#}
{% macro first_column(query) -%}
    {%- if execute -%}
        {{- return(run_query(query).columns[0].values()) -}}
    {%- endif -%}
    {{- return([]) -}}
{%- endmacro %}

{#- Yields the config of a model that replaces whole days; `cluster_by` is BigQuery's. -#}
{% macro replaces_days(follows, cluster_by=none) -%}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'delete+insert' if target.type == 'duckdb' else 'insert_overwrite',
        'unique_key': 'event_date' if target.type == 'duckdb' else none,
        'partition_by': {'field': 'event_date', 'data_type': 'date'} if target.type == 'bigquery' else none,
        'cluster_by': cluster_by if target.type == 'bigquery' else none,
        'meta': {'follows': follows},
    }) -}}
{%- endmacro %}

{#- Yields the config of a model that replaces whole reports. -#}
{% macro replaces_reports() -%}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'delete+insert' if target.type == 'duckdb' else 'insert_overwrite',
        'unique_key': 'report_date' if target.type == 'duckdb' else none,
        'partition_by': {'field': 'report_date', 'data_type': 'date'} if target.type == 'bigquery' else none,
        'post_hook': '{{ drop_former_history() }}',
        'meta': {'follows': 'int_report_versions'},
    }) -}}
{%- endmacro %}

{#- Yields the config of a model that replaces the rows with the same key. `follows` names the model whose days it
    follows, or 'settings'; the last two are BigQuery's. -#}
{% macro replaces_rows(key, follows=none, partition_date=none, cluster_by=none) -%}
    {{- return({
        'materialized': 'incremental',
        'incremental_strategy': 'delete+insert' if target.type == 'duckdb' else 'merge',
        'unique_key': key,
        'partition_by': {'field': partition_date, 'data_type': 'date'} if partition_date and target.type == 'bigquery' else none,
        'cluster_by': cluster_by if target.type == 'bigquery' else none,
        'meta': {'follows': follows} if follows else {},
    }) -}}
{%- endmacro %}

{#- Yields the days that changed in the model that this one follows since this one was built, as texts in order;
    none where everything is to be built. -#}
{% macro stale_days() -%}
    {%- if not is_incremental() -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- if target.type == 'bigquery' -%}
        {{- return(bigquery_stale_days(config.get('meta')['follows'])) -}}
    {%- endif -%}
    {%- set days = first_column(
        'select event_date from ' ~ ref(config.get('meta')['follows'])
        ~ ' where version > (select coalesce(max(version), 0) from ' ~ this ~ ')'
        ~ ' group by event_date order by event_date'
    ) -%}
    {{- return(days | map('string') | list) -}}
{%- endmacro %}

{#- Yields the report dates whose stored report was made from something else than what is known now; none where
    everything is to be built. -#}
{% macro stale_reports() -%}
    {%- if not is_incremental() -%}
        {{- return(none) -}}
    {%- endif -%}
    {%- set dates = first_column(
        'select versions.report_date from ' ~ ref('int_report_versions') ~ ' as versions'
        ~ ' left join (select report_date, max(version) as version from ' ~ this ~ ' group by report_date) as stored'
        ~ ' on versions.report_date = stored.report_date'
        ~ ' where versions.version is distinct from stored.version order by versions.report_date'
    ) -%}
    {{- return(dates | map('string') | list) -}}
{%- endmacro %}

{#- Yields the statement that leaves every period from the first event on to the newest report alone. -#}
{% macro drop_former_history() -%}
    delete from {{ this }}
    where
        not is_reported
        and report_date < (select max(report_date) from {{ ref('report_dates') }})
{%- endmacro %}

{#- Yields the condition that a date is one of `days`; true where they are none. -#}
{% macro is_one_of(date, days) -%}
    {%- if days is none -%}
        true
    {%- elif not days -%}
        false
    {%- else -%}
        {{ date }} in (
            {%- for day in days %}cast('{{ day }}' as date){{ ', ' if not loop.last }}{% endfor -%}
        )
    {%- endif -%}
{%- endmacro %}

{#- Yields first and last day of each stretch of `days`; gaps of up to a week are taken in. -#}
{% macro stretches(days) -%}
    {%- set found = [] -%}
    {%- for text in days -%}
        {%- set day = modules.datetime.date.fromisoformat(text) -%}
        {%- if found and (day - found[-1][1]).days <= 7 -%}
            {%- do found[-1].pop() -%}
            {%- do found[-1].append(day) -%}
        {%- else -%}
            {%- do found.append([day, day]) -%}
        {%- endif -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro %}

{#- Yields the condition that an event lies on one of `days`. The bounds of the instant say nothing more, being
    wider than any zone's offset: by them the warehouse knows which parts of the raw table to leave alone. -#}
{% macro falls_on(days) -%}
    {%- if days -%}
        {%- set more = modules.datetime.timedelta(days=2) -%}
        (
            {%- for first_day, last_day in stretches(days) %}
            (
                occurred_at >= cast('{{ first_day - more }} 00:00:00+00:00' as {{ timestamp_type() }})
                and occurred_at < cast('{{ last_day + more }} 00:00:00+00:00' as {{ timestamp_type() }})
            )
            {{ 'or' if not loop.last }}
            {%- endfor %}
        )
        and {{ is_one_of('event_date', days) }}
    {%- else -%}
        {{ is_one_of('event_date', days) }}
    {%- endif -%}
{%- endmacro %}

{#- Yields a number for what all history was made with; a change makes everything anew. -#}
{% macro history_settings() -%}
    {#- Nothing is built yet when a model is only compiled. -#}
    {%- if not execute or load_relation(ref('event_roles')) is none -%}
        {{- return(0) -}}
    {%- endif -%}
    {#- The SQL of the models is part of it; raise this number when a macro comes to mean something else. -#}
    {%- set definitions = [1] -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id') -%}
        {%- set folders = node.fqn[1:3] -%}
        {%- if node.resource_type == 'model' and (folders[0] in ('intermediate', 'utilities') or folders == ['staging', 'events']) -%}
            {%- do definitions.append(node.raw_code) -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set roles = first_column(
        "select concat(event_key, '=', coalesce(role, '')) as meaning from " ~ ref('event_roles') ~ ' order by meaning'
    ) -%}
    {#- Whoever was forgotten leaves every table. -#}
    {%- set erasures = first_column('select count(*) from ' ~ ref('stg_events__erasures'))[0] | int -%}
    {%- set all = [definitions, var('serious_user_min_successes'), reporting_timezone(), roles | list, first_column(hash_function())[0]]
        + ([erasures] if erasures else []) -%}
    {{- return(local_md5(all | string)[:15] | int(0, 16)) -}}
{%- endmacro %}

{#- Yields whether a model is made anew; dbt asks it of each one. -#}
{% macro should_full_refresh() -%}
    {%- set asked = config.get('full_refresh') -%}
    {%- if asked is none -%}
        {%- set asked = flags.FULL_REFRESH -%}
    {%- endif -%}
    {{- return(asked or has_another_basis()) -}}
{%- endmacro %}

{#- Yields whether what is stored was made with other settings, or from what has been made anew since. -#}
{% macro has_another_basis() -%}
    {%- set meta = config.get('meta') or {} -%}
    {%- if not execute or 'follows' not in meta or load_relation(this) is none -%}
        {{- return(false) -}}
    {%- elif meta['follows'] == 'settings' -%}
        {%- set stored, current = highest('settings', this), history_settings() -%}
        {%- if target.type == 'bigquery' and stored is not none and stored != current -%}
            {{- refuse_to_lose_history() -}}
        {%- endif -%}
    {%- elif target.type == 'bigquery' -%}
        {%- set stored, current = highest('basis', this), highest('basis', ref(meta['follows'])) -%}
    {%- else -%}
        {%- set stored, current = first_column(
            "select basis from (select 'stored' as place, max(basis) as basis from " ~ this
            ~ " union all select 'current' as place, max(basis) as basis from " ~ ref(meta['follows'])
            ~ ') as found order by place desc'
        ) -%}
    {%- endif -%}
    {{- return(stored is not none and stored != current) -}}
{%- endmacro %}

{#- Yields the clause that stores rows in the order of a date, so that DuckDB can leave alone what lies on other
    days. BigQuery has partitions for that. -#}
{% macro stored_in_order_of(date) -%}
    {%- if target.type == 'duckdb' -%}
        order by {{ date }}
    {%- endif -%}
{%- endmacro %}

{#- Yields the condition that a stored session, or part of it, may lie on one of `days`. -#}
{% macro session_overlaps(days) -%}
    (
        {%- for first_day, last_day in stretches(days) %}
        (first_date <= cast('{{ last_day }}' as date) and last_date >= cast('{{ first_day }}' as date))
        {{ 'or' if not loop.last }}
        {%- else %}
        false
        {%- endfor %}
    )
{%- endmacro %}

{#- Yields the days on which tests lie of any session that has, or had, one on a day that changed; none where everything
    is to be built. -#}
{% macro days_of_changed_sessions(days) -%}
    {%- if not days -%}
        {{- return(days) -}}
    {%- endif -%}
    {%- set tests = first_column('select count(*) as tests from ' ~ ref('int_tests') ~ ' where ' ~ falls_on(days))[0] -%}
    {#- The limit cuts nothing off: it tells DuckDB how few they are, which it would hash all sessions without. -#}
    {%- set found = first_column(
        'with changed as (select ' ~ session_hash() ~ ' as session_hash from ' ~ ref('int_tests')
        ~ ' where ' ~ falls_on(days) ~ ' group by 1 limit ' ~ tests ~ '),'
        ~ ' spans as (select first_date, last_date from ' ~ this
        ~ ' where session_hash in (select session_hash from changed)'
        ~ ' union distinct select first_date, last_date from ' ~ this ~ ' where ' ~ session_overlaps(days) ~ '),'
        ~ ' known as (select event_date from ' ~ ref('int_load_days') ~ ' group by event_date)'
        ~ ' select event_date from known where ' ~ is_one_of('event_date', days)
        ~ ' union distinct select known.event_date from known inner join spans'
        ~ ' on known.event_date >= spans.first_date and known.event_date <= spans.last_date order by event_date'
    ) -%}
    {{- return(found | map('string') | list) -}}
{%- endmacro %}

{#- Yields what stands for a session: user and session in 128 bits. -#}
{% macro session_hash() -%}
    {{- return(hash_128("concat(coalesce(user_key, ''), '|', session_key)")) -}}
{%- endmacro %}

{#- Yields the statements that put the arrivals which another one overruled beside the rejected lines.
    Which ones they are depends on all arrivals known, so they are replaced whole. -#}
{% macro keep_conflicts_in_quarantine() -%}
    {%- set quarantine = source('events', 'quarantine') -%}
    delete from {{ quarantine }} where reason = 'conflict';
    insert into {{ quarantine }} (source_file, line_number, reason, line_hash, event_id, loaded_at, _dlt_load_id)
    select
        source_file,
        line_number,
        settled as reason,
        line_hash,
        event_id,
        loaded_at,
        load_id
    from {{ this }}
    where settled = 'conflict'
{%- endmacro %}
