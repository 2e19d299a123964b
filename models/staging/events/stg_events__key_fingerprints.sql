with

key_fingerprints as (

    select * from {{ source('events', 'key_fingerprints') }}

)

select
    _dlt_load_id as load_id,
    user_key as user_key_id,
    record_key as record_key_id,
    loaded_at
from key_fingerprints
