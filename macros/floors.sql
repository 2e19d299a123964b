{#- What weeks and months show at least

    Whoever had a success on a day had one in its week and its month, and who is new on a day is none of those of the days
    before. So a week that is shown too small would narrow down what is shown of its days. Its figures are lifted as far as
    its parts (the days, and for a month the weeks within it) need, to stay as open as each is by itself.
    pipelines/privacy/floors.py says the same in Python. -#}

{#- Yields the smallest figure that can stand for so many people. -#}
{% macro smallest_figure_for(people) -%}
    {%- set threshold, base = privacy_parameters().threshold, privacy_parameters().base -%}
    {%- set least = '(' ~ people ~ ' - ' ~ (base - 1) ~ ')' -%}
    case
        when {{ people }} < {{ threshold }} then 0
        else greatest({{ threshold }}, {{ least }} + mod({{ base }} - mod({{ least }}, {{ base }}), {{ base }}))
    end
{%- endmacro %}

{#- Yields the buckets of failed tests from the highest down, each with all those of as many failures or more. -#}
{% macro buckets_from_above() -%}
    {%- set found, buckets = [], ['6_or_more', '3_to_5', '2', '1', '0'] -%}
    {%- for bucket in buckets -%}
        {%- do found.append((bucket, buckets[:loop.index])) -%}
    {%- endfor -%}
    {{- return(found) -}}
{%- endmacro %}

{#- Yields the sum or the maximum of an expression for some cells, over the rows of a group; 0 where there are none. -#}
{% macro over_cells(function, family, cells, expression) -%}
    coalesce({{ function }}(case when {{ is_cell(family, cells) }} then {{ expression }} end), 0)
{%- endmacro %}

{#- Yields the columns `<name>_least`, `<name>_most` and `<name>_rise` of some cells: how many people their figures stand for
    at least and at most, and how many more than the least one of them must be able to stand for. -#}
{% macro bounds_of_cells(name, family, cells) -%}
    {{ over_cells('sum', family, cells, least_users_behind('value')) }} as {{ name }}_least,
    {{ over_cells('sum', family, cells, most_users_behind('value')) }} as {{ name }}_most,
    {{ over_cells('max', family, cells, users_left_open('value')) }} as {{ name }}_rise
{%- endmacro %}

{#- Yields CTEs that lift the figures of each week or month to what its parts need: `<grain>_figures`, the rows of `figures`
    with the lifted `value`. `parts` are the released rows of shorter periods. -#}
{% macro lifted_figures(grain, figures, parts) -%}
{{ grain }}_parts as (

    select
        {{ period_start(grain, 'period_start_date') }} as whole_start_date,
        grain,
        period_start_date,
        {{ period_end('grain', 'period_start_date') }} as period_end_date,
        {{ bounds_of_cells('new_successful', 'engagement_users', ['new_success']) }},
        {{ bounds_of_cells('new', 'engagement_users', ['new_success', 'new_other']) }},
        {{ bounds_of_cells('successful', 'engagement_users', ['new_success', 'returning_success', 'success']) }},
        {{ bounds_of_cells('others', 'engagement_users', ['new_other', 'returning_other', 'other']) }},
        {{ bounds_of_cells('clean', 'error_buckets', ['0']) }}
        {%- for bucket, buckets in buckets_from_above() %},
        {{ bounds_of_cells('from_' ~ bucket, 'error_buckets', buckets) }}
        {%- endfor %}
    from {{ parts }}
    group by grain, period_start_date

),

{{ grain }}_parts_in_all as (

    select
        *,
        greatest(successful_least + others_least, from_0_least) as all_least,
        greatest(successful_rise, others_rise, from_0_rise) as all_rise
    from {{ grain }}_parts
    where whole_start_date = {{ period_start(grain, 'period_end_date') }}

),

-- Whoever never failed had a success, and whoever had none failed.
{{ grain }}_parts_known as (

    select
        *,
        greatest(successful_least, clean_least, all_least - others_most) as known_successful,
        greatest(successful_rise, clean_rise) as known_successful_rise,
        greatest(from_1_least, others_least, all_least - clean_most) as known_failing
    from {{ grain }}_parts_in_all

),

-- Who is new on a later day comes on top.
{{ grain }}_needs_of_parts as (

    select
        parts.whole_start_date,
        max(parts.known_successful) + coalesce(sum(later.new_successful_least), 0)
        + greatest(max(parts.known_successful_rise), coalesce(max(later.new_successful_rise), 0)) as success,
        max(parts.all_least) + coalesce(sum(later.new_least), 0)
        + greatest(max(parts.all_rise), coalesce(max(later.new_rise), 0)) as everybody,
        max(parts.known_failing + parts.from_1_rise) as from_1
        {%- for bucket in ['2', '3_to_5', '6_or_more'] %},
        max(parts.from_{{ bucket }}_least + parts.from_{{ bucket }}_rise) as from_{{ bucket }}
        {%- endfor %}
    from {{ grain }}_parts_known as parts
    left join {{ grain }}_parts_known as later
        on
            parts.whole_start_date = later.whole_start_date
            and later.grain = 'day'
            and parts.period_end_date < later.period_start_date
    group by parts.whole_start_date, parts.grain, parts.period_start_date

),

{{ grain }}_needs as (

    select
        whole_start_date,
        max(success) as success,
        max(everybody) as from_0
        {%- for bucket in failing_buckets() %},
        max(from_{{ bucket }}) as from_{{ bucket }}
        {%- endfor %}
    from {{ grain }}_needs_of_parts
    group by whole_start_date

),

{{ grain }}_drawn as (

    select
        period_start_date,
        draw,
        {{ over_cells('max', 'engagement_users', ['success'], 'value') }} as success,
        {{ over_cells('max', 'engagement_users', ['other'], 'value') }} as other
        {%- for bucket, buckets in buckets_from_above() %},
        {{ over_cells('max', 'error_buckets', [bucket], 'value') }} as bucket_{{ bucket }}
        {%- endfor %}
    from {{ figures }}
    where
        grain = '{{ grain }}'
        and {{ is_drawn_together(figures) }}
    group by period_start_date, draw

),

-- Each figure is lifted by what those lifted before it leave open.
{{ grain }}_lifted_success as (

    select
        drawn.*,
        {% for bucket, buckets in buckets_from_above() -%}
        coalesce(needs.from_{{ bucket }}, 0) as from_{{ bucket }},
        {% endfor -%}
        greatest(drawn.success, {{ smallest_figure_for('coalesce(needs.success, 0)') }}) as lifted_success
    from {{ grain }}_drawn as drawn
    left join {{ grain }}_needs as needs
        on drawn.period_start_date = needs.whole_start_date

),

{{ grain }}_lifted_other as (

    select
        *,
        greatest(
            other, {{ smallest_figure_for('(from_0 - (' ~ most_users_behind('lifted_success') ~ '))') }}
        ) as lifted_other
    from {{ grain }}_lifted_success

),

{% set before = namespace(step='other', most='0') -%}
{% for bucket, buckets in buckets_from_above() -%}
{{ grain }}_lifted_{{ bucket }} as (

    select
        *,
        greatest(
            bucket_{{ bucket }}, {{ smallest_figure_for('(from_' ~ bucket ~ ' - (' ~ before.most ~ '))') }}
        ) as lifted_{{ bucket }}
    from {{ grain }}_lifted_{{ before.step }}

),

{% set before.most = before.most ~ ' + ' ~ most_users_behind('lifted_' ~ bucket) -%}
{% set before.step = bucket -%}
{% endfor -%}
{{ grain }}_figures as (

    select
        figures.family,
        figures.grain,
        figures.period_start_date,
        figures.cell,
        figures.draw,
        case
            when {{ is_cell('engagement_users', ['success'], 'figures') }} then lifted.lifted_success
            when {{ is_cell('engagement_users', ['other'], 'figures') }} then lifted.lifted_other
            {% for bucket, buckets in buckets_from_above() -%}
            when {{ is_cell('error_buckets', [bucket], 'figures') }} then lifted.lifted_{{ bucket }}
            {% endfor -%}
        end as value
    from {{ figures }} as figures
    inner join {{ grain }}_lifted_0 as lifted
        on
            figures.period_start_date = lifted.period_start_date
            and figures.draw = lifted.draw
    where
        figures.grain = '{{ grain }}'
        and {{ is_drawn_together('figures') }}

)
{%- endmacro %}
