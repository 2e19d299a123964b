{% for leaf in [
    ref('int_engagement_user_leaves'),
    ref('int_error_bucket_leaves'),
    ref('int_account_leaves'),
    ref('int_test_leaves'),
    ref('int_session_leaves'),
    ref('int_error_leaves'),
] -%}
select
    family,
    grain,
    period_start_date,
    cell,
    units,
    users,
    contributors_key
from {{ leaf }}
{{ 'union all' if not loop.last }}
{% endfor %}
