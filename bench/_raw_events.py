"""Raw tables of events as the loader leaves them, made in columns by DuckDB: seeded by number, any size."""

from pathlib import Path

import duckdb

from pipelines.sources.events import ensure_tables
from pipelines.warehouse import Warehouse

EVENTS_A_DAY = 30_000
FIRST_LOAD = 1_600_000_000

_REST = (
    """
    insert into raw_events.files by name
    select
        source_file, 1 as size_bytes, max(loaded_at) as modified_at, count(*) as lines, count(*) as events,
        0 as quarantined, 0 as unknown_fields, max(loaded_at) as loaded_at, _dlt_load_id
    from raw_events.events
    where _dlt_load_id not in (select load_id from raw_events._dlt_loads)
    group by source_file, _dlt_load_id order by _dlt_load_id
    """,
    """
    insert into raw_events._dlt_loads by name
    select _dlt_load_id as load_id, 'events' as schema_name, 0 as status, max(loaded_at) as inserted_at,
        (select max(version_hash) from raw_events._dlt_version) as schema_version_hash
    from raw_events.files
    where _dlt_load_id not in (select load_id from raw_events._dlt_loads)
    group by _dlt_load_id order by _dlt_load_id
    """,
)

# One line in a hundred is a copy of one of the day before; users grow by 200 a day.
_DAYS = """
with numbered as (
    select
        number // {a_day} as day,
        number % {a_day} as line_number,
        case when number % 100 = 99 and number >= {a_day} then number - {a_day} - 1 else number end as event
    from range({first_day} * {a_day}, ({last_day} + 1) * {a_day}) as numbers (number)
),
drawn as (
    select *, hash(event) as luck, hash(event * 31 + 7) % (event // {a_day} * 200 + 4000) as user_number
    from numbered
)
select
    'e' || lpad(event::varchar, 12, '0') as event_id,
    case when luck % 40 = 0 then 'account_created' else 'test_completed' end as event_key,
    'app' as service_key,
    sha256(user_number::varchar) as user_key,
    user_number::bigint as record_key,
    case when luck % 40 != 0 then 's' || (event // 3) || '_' || user_number end as session_id,
    case when luck % 40 = 0 then null when luck % 3 = 0 then 'error' else 'success' end as status,
    case when luck % 40 != 0 and luck % 3 = 0
        then ['no_period_history', 'camera_too_far', 'camera_too_close', 'analysis_error'][(1 + luck % 4)::int]
    end as error_code,
    false as is_test,
    timestamptz '{epoch} 00:00:00+00' + to_days((event // {a_day})::int)
        + to_microseconds((event % {a_day}) * (86400000000 // {a_day})) as occurred_at,
    timestamptz '{epoch} 00:00:00+00' + to_days(day::int)
        + to_microseconds(line_number * (86400000000 // {a_day}) + 1000000) as received_at,
    'day' || day || '.jsonl' as source_file,
    line_number::bigint as line_number,
    timestamptz '{epoch} 02:00:00+00' + to_days(day::int + 1) as loaded_at,
    ({first_load} + day * 86400)::varchar || '.5' as _dlt_load_id
from drawn
"""


def write_days(path: Path, epoch: str, first_day: int, last_day: int) -> None:
    """Append the loads of a range of days, counted from `epoch`, one load a day."""
    if not path.exists():
        ensure_tables(Warehouse("duckdb", path, "", "UTC"))
    with duckdb.connect(str(path)) as connection:
        connection.execute("set TimeZone = 'UTC'")
        days = _DAYS.format(
            a_day=EVENTS_A_DAY, epoch=epoch, first_day=first_day, last_day=last_day, first_load=FIRST_LOAD
        )
        connection.execute(f"insert into raw_events.events by name {days}")
        for statement in _REST:
            connection.execute(statement)
