{#- Fails with each row in which one of the columns is NULL. One test for all of them: each test is a query of its own. -#}
{% test never_null(model, columns) %}

select {{ columns | join(', ') }}
from {{ model }}
where
    {%- for column in columns %}
    {{ 'or ' if not loop.first }}{{ column }} is null
    {%- endfor %}

{% endtest %}
