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
        self._user_ids: list[str] = []
        self._user_keys = pa.array([], pa.string())
        self._record_keys = pa.array([], pa.int64())

    def of(self, user_ids: list[str]) -> tuple[pa.Array, pa.Array]:
        """Give the user keys and the record keys of canonical ids, in their order.

        Fast where the list is the one of the call before, or that with more ids behind.
        """
        known = len(self._user_ids)
        if user_ids[:known] != self._user_ids or known > REMEMBERED_USERS:
            known = 0
            self._user_keys, self._record_keys = self._user_keys[:0], self._record_keys[:0]
        new = user_ids[known:]
        if new:
            user_keys = pa.array([self._keys.user_pseudonym(user_id) for user_id in new], pa.string())
            record_keys = pa.array([self._keys.record_pseudonym(user_id) for user_id in new], pa.int64())
            self._user_keys = pa.concat_arrays([self._user_keys, user_keys])
            self._record_keys = pa.concat_arrays([self._record_keys, record_keys])
        self._user_ids = user_ids
        return self._user_keys, self._record_keys


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
    indices: "np.ndarray[Any, Any]", user_ids: list[str], pseudonyms: Pseudonyms
) -> tuple[pa.Array, pa.Array]:
    """Make the two pseudonym columns of rows that point into a list of canonical ids (below 0: no user)."""
    user_keys, record_keys = pseudonyms.of(user_ids)
    positions = pa.array(indices.astype(np.int32), mask=indices < 0)
    return pa.DictionaryArray.from_arrays(positions, user_keys), record_keys.take(positions)
