-- Large tables are named where they are read: DuckDB writes down whole what several CTEs read from one.
with

last_batch as (

    select max(batch) as batch
    from {{ ref('int_event_arrivals') }}
    where {{ lies_on_newest_days(ref('int_event_arrivals')) }}

),

-- Ids that the last run settled, against all arrivals of theirs.
settled_ids as (

    select arrivals.event_hash
    from {{ ref('int_event_arrivals') }} as arrivals
    inner join last_batch
        on arrivals.batch = last_batch.batch
    where {{ lies_on_newest_days(ref('int_event_arrivals')) }}
    group by arrivals.event_hash

),

counts as (

    select
        arrivals.event_hash,
        sum(case when arrivals.settled = 'winner' then 1 else 0 end) as winners,
        count(distinct arrivals.batch) as batches
    from {{ ref('int_event_arrivals') }} as arrivals
    inner join settled_ids
        on arrivals.event_hash = settled_ids.event_hash
    where {{ lies_on_newest_days(ref('int_event_arrivals')) }}
    group by arrivals.event_hash

)

-- Two ids can share a hash, so that two winners are no error in themselves; no winner is.
select * from counts
where
    winners = 0
    or batches > 1
