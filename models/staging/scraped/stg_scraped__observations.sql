with

observations as (

    select * from {{ source('scraped', 'observations') }}

)

select
    metric_key,
    url_host,
    observed_at,
    state,
    reason,
    value,
    http_status,
    page_hash,
    extractor_version,
    parsed_at,
    loaded_at,
    _dlt_load_id as load_id
from observations
