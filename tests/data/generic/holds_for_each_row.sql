{#- Fails with each row for which the expression is false; NULL passes. -#}
{% test holds_for_each_row(model, expression) %}

select *
from {{ model }}
where not ({{ expression }})

{% endtest %}
