"""Made-up event files, the same for the same seed, written in columns."""

from pathlib import Path

import duckdb

USERS_PER_EVENT = 0.02


def write_events(path: Path, events: int, seed: int = 1) -> None:
    """Write native JSON lines of about 250 bytes: three tests a session, one in three an error."""
    users = max(int(events * USERS_PER_EVENT), 1)
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    connection.execute("create macro pick(number, salt) as hash(number * 1000003 + salt)")
    connection.execute(
        f"""
        copy (
            select
                format('e{{:012d}}', number) as event_id,
                'test_completed' as event_key,
                'Test completed' as event_name,
                'app' as service_key,
                pick(number, {seed}) % {users} as user_id,
                strftime(
                    timestamp '2026-01-01' + to_milliseconds(number * 8700 + pick(number, {seed + 1}) % 1000),
                    '%Y-%m-%dT%H:%M:%S.%gZ'
                ) as occurred_at,
                {{
                    'session_id': format('s{{:09d}}', number // 3),
                    'status': if(number % 3 = 0, 'error', 'success'),
                    'error_code': if(number % 3 = 0, 'analysis_error', null)
                }} as metadata
            from range({events}) as numbers (number)
        ) to '{path}' (format json)
        """
    )
    connection.close()
