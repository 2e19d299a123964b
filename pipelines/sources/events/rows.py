"""Events as rows of Arrow tables, with pseudonyms in place of user ids."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipelines.privacy.identity import Keys
from pipelines.sources.events.canonical import Event, is_plain_id
from pipelines.sources.events.tables import READ_EVENTS
from pipelines.sources.events.users import Users


def event_table(events: Sequence[Event], line_numbers: Sequence[int], keys: Keys, users: Users) -> pa.Table:
    """Make the table of some events and of the lines on which they stand."""
    user_keys, record_keys = users.of_ids([event.user_id for event in events])
    columns: dict[str, Any] = {
        name: pa.array([getattr(event, name) for event in events], READ_EVENTS.field(name).type)
        for name in READ_EVENTS.names
        if name not in {"event_id", "session_id", "user_key", "record_key", "line_number"}
    }
    columns |= {
        name: pa.array([_stored_id(getattr(event, name), keys) for event in events], pa.string())
        for name in ("event_id", "session_id")
    }
    columns |= {
        "user_key": user_keys,
        "record_key": record_keys,
        "line_number": pa.array(line_numbers, pa.int64()),
    }
    return pa.table([columns[name] for name in READ_EVENTS.names], schema=READ_EVENTS)


def _stored_id(canonical_id: str | None, keys: Keys) -> str | None:
    """Give the id of an event or a session as it is stored: as it is, unless it could be more than an id."""
    if canonical_id is None or is_plain_id(canonical_id):
        return canonical_id
    return keys.id_pseudonym(canonical_id)
