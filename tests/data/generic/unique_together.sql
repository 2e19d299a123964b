{#- Fails with each combination of the columns that stands in more than one row; with `newest`, looks only at the rows
    in which that column has its highest value: those of the last run, since the others were looked at before. -#}
{% test unique_together(model, columns, newest=none) %}

select
    {{ columns | join(', ') }},
    count(*) as copies
from {{ model }}
{%- if newest %}
where
    {{ newest }} = (select max({{ newest }}) from {{ model }} where {{ lies_on_newest_days(model) }})
    and {{ lies_on_newest_days(model) }}
{%- endif %}
group by {{ columns | join(', ') }}
having count(*) > 1

{% endtest %}
