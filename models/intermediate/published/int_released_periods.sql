with

release_ledger as (

    select * from {{ ref('release_ledger') }}

),

release_parameters as (

    select * from {{ ref('release_parameters') }}

)

select
    release_ledger.grain,
    release_ledger.period_start_date,
    {{ period_end('release_ledger.grain', 'release_ledger.period_start_date') }} as period_end_date,
    max(release_parameters.lateness_days) as lateness_days,
    max(release_ledger.released_at) as released_at
from release_ledger
inner join release_parameters
    on release_ledger.parameters_id = release_parameters.parameters_id
group by release_ledger.grain, release_ledger.period_start_date
