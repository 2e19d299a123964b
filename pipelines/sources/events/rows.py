"""Events as rows of Arrow tables, with pseudonyms in place of user ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.privacy.identity import Keys
from pipelines.sources.events.canonical import Event
from pipelines.sources.events.tables import READ_EVENTS

REMEMBERED_USERS = 100_000
"""How many pseudonyms are kept, so that memory does not grow with the number of users."""


class Pseudonyms:
    """Makes pseudonyms of canonical user ids, each once as long as it is remembered."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, tuple[str, int]] = {}

    def of(self, user_ids: Sequence[str]) -> tuple[list[str], list[int]]:
        """Give the user keys and the record keys of canonical ids, in their order."""
        known = self._known
        if len(known) > REMEMBERED_USERS:
            known.clear()
        for user_id in user_ids:
            if user_id not in known:
                known[user_id] = (self._keys.user_pseudonym(user_id), self._keys.record_pseudonym(user_id))
        found = [known[user_id] for user_id in user_ids]
        return [user_key for user_key, _ in found], [record_key for _, record_key in found]


def event_table(events: Sequence[Event], line_numbers: Sequence[int], pseudonyms: Pseudonyms) -> pa.Table:
    """Make the table of some events and of the lines on which they stand."""
    users = pa.array([event.user_id for event in events], pa.string()).dictionary_encode()
    user_keys, record_keys = user_columns(
        np.asarray(users.indices.fill_null(-1)), users.dictionary.to_pylist(), pseudonyms
    )
    columns: dict[str, Any] = {
        name: pa.array([getattr(event, name) for event in events], READ_EVENTS.field(name).type)
        for name in READ_EVENTS.names
        if name not in {"user_key", "record_key", "line_number"}
    }
    columns |= {
        "user_key": user_keys,
        "record_key": record_keys,
        "line_number": pa.array(line_numbers, pa.int64()),
    }
    return pa.table([columns[name] for name in READ_EVENTS.names], schema=READ_EVENTS)


def user_columns(
    indices: "np.ndarray[Any, Any]", user_ids: Sequence[str], pseudonyms: Pseudonyms
) -> tuple[pa.Array, pa.Array]:
    """Make the two pseudonym columns of rows that point into a list of canonical ids (below 0: no user)."""
    user_keys, record_keys = pseudonyms.of(user_ids)
    absent = indices < 0
    positions = pa.array(indices.astype(np.int32), mask=absent)
    return (
        pa.DictionaryArray.from_arrays(positions, pa.array(user_keys, pa.string())),
        pa.array(record_keys, pa.int64()).take(positions),
    )
