"""Events as rows of Arrow tables, with pseudonyms in place of user ids."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.privacy.identity import Keys
from pipelines.sources.events.canonical import Event, is_plain_id
from pipelines.sources.events.tables import READ_EVENTS

REMEMBERED_USERS = 100_000
"""How many pseudonyms are kept, so that memory does not grow with the number of users."""


class Pseudonyms:
    """Makes pseudonyms of canonical user ids, each once as long as it is remembered."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._known: dict[str, tuple[str, int]] = {}

    def of(self, user_ids: Sequence[str]) -> tuple[list[str], list[int]]:
        """Give the user keys and the record keys of canonical ids, in their order. Several threads may call."""
        known = self._known
        if len(known) > REMEMBERED_USERS:
            known = self._known = {}
        found = [known.get(user_id) or self._new(known, user_id) for user_id in user_ids]
        return [user_key for user_key, _ in found], [record_key for _, record_key in found]

    def stored_id(self, canonical_id: str | None) -> str | None:
        """Give the id of an event or a session as it is stored: as it is, unless it could be more than an id."""
        if canonical_id is None or is_plain_id(canonical_id):
            return canonical_id
        return self._keys.id_pseudonym(canonical_id)

    def _new(self, known: dict[str, tuple[str, int]], user_id: str) -> tuple[str, int]:
        made = (self._keys.user_pseudonym(user_id), self._keys.record_pseudonym(user_id))
        return known.setdefault(user_id, made)


class UserColumns:
    """Makes the two pseudonym columns of rows that point into a list of canonical ids that grows."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._user_ids: list[str] = []
        self._user_keys = pa.array([], pa.string())
        self._record_keys = pa.array([], pa.int64())

    def of(self, positions: npt.NDArray[np.int32], user_ids: list[str]) -> tuple[pa.Array, pa.Array]:
        """Give user keys and record keys; no user where a position is below 0."""
        known = len(self._user_ids)
        if user_ids[:known] != self._user_ids:
            known = 0
        if len(user_ids) != len(self._user_ids) or not known:
            user_keys, record_keys = self._pseudonyms.of(user_ids[known:])
            self._user_keys = pa.concat_arrays([self._user_keys[:known], pa.array(user_keys, pa.string())])
            self._record_keys = pa.concat_arrays(
                [self._record_keys[:known], pa.array(record_keys, pa.int64())]
            )
        self._user_ids = user_ids
        indices = pa.array(positions, mask=positions < 0)
        return pa.DictionaryArray.from_arrays(indices, self._user_keys), self._record_keys.take(indices)


def event_table(events: Sequence[Event], line_numbers: Sequence[int], pseudonyms: Pseudonyms) -> pa.Table:
    """Make the table of some events and of the lines on which they stand."""
    users = pa.array([event.user_id for event in events], pa.string()).dictionary_encode()
    positions = np.asarray(users.indices.fill_null(-1))
    user_keys, record_keys = UserColumns(pseudonyms).of(positions, users.dictionary.to_pylist())
    columns: dict[str, Any] = {
        name: pa.array([getattr(event, name) for event in events], READ_EVENTS.field(name).type)
        for name in READ_EVENTS.names
        if name not in {"event_id", "session_id", "user_key", "record_key", "line_number"}
    }
    columns |= {
        name: pa.array([pseudonyms.stored_id(getattr(event, name)) for event in events], pa.string())
        for name in ("event_id", "session_id")
    }
    columns |= {
        "user_key": user_keys,
        "record_key": record_keys,
        "line_number": pa.array(line_numbers, pa.int64()),
    }
    return pa.table([columns[name] for name in READ_EVENTS.names], schema=READ_EVENTS)
