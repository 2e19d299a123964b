"""Pseudonyms of many users at once, each made once as long as it is remembered."""

import json
import re
import threading
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from pipelines.privacy.identity import Keys, canonical_text
from pipelines.sources.events.vectors import ABSENT, PLAIN_INTEGER, UNSURE, Flags, Positions

REMEMBERED_USERS = 1_000_000
"""How many users are remembered, at some 250 bytes each, so that memory does not grow with their number."""

USER_KEY_LENGTH = 64

_PLAIN_INTEGER = re.compile(PLAIN_INTEGER)


class Users:
    """Makes the two columns that stand in place of user ids. Several threads may ask at once."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._met = _Met(keys)
        self._lock = threading.Lock()

    def of_tokens(self, columns: Sequence[pa.StringArray], rows: int) -> tuple[pa.Array, pa.Array, Flags]:
        """Read the first non-blank user of several columns of tokens: user keys, record keys, rows that are not sure."""
        met = self._remembered()
        found = np.full(rows, ABSENT, np.int32)
        for column in columns:
            coded = column.dictionary_encode()
            tokens = [*coded.dictionary.to_pylist(), None]
            positions = met.positions(tokens, self._lock)[
                np.asarray(coded.indices.fill_null(len(tokens) - 1))
            ]
            found = np.where(found == ABSENT, positions, found)
        user_keys, record_keys = met.columns(found)
        return user_keys, record_keys, found == UNSURE

    def of_ids(self, user_ids: Sequence[str | None]) -> tuple[pa.Array, pa.Array]:
        """Give the user keys and the record keys of canonical ids, in their order."""
        met = self._remembered()
        tokens = [None if user_id is None else _token(user_id) for user_id in user_ids]
        return met.columns(met.positions(tokens, self._lock))

    def _remembered(self) -> "_Met":
        if len(self._met) > REMEMBERED_USERS:
            self._met = _Met(self._keys)
        return self._met


class _Met:
    """Users met so far, by number: their pseudonyms, and all tokens that stood for them."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._numbers: dict[str | None, int] = {None: ABSENT}
        self._count = 0
        self._user_keys = np.empty(1024, f"S{USER_KEY_LENGTH}")
        self._record_keys = np.empty(1024, np.int64)

    def __len__(self) -> int:
        return len(self._numbers)

    def positions(self, tokens: Sequence[str | None], lock: threading.Lock) -> Positions:
        """Give the number of each token's user; ABSENT where it is blank, UNSURE where only its line can tell."""
        numbers = list(map(self._numbers.get, tokens))
        if None in numbers:
            with lock:
                numbers = [
                    self._number(token) if number is None else number
                    for token, number in zip(tokens, numbers, strict=True)
                ]
        return np.array(numbers, np.int32)

    def columns(self, positions: Positions) -> tuple[pa.DictionaryArray, pa.Array]:
        """Give the pseudonyms of some users, each user key once; null below 0."""
        absent = positions < 0
        used, places = np.unique(positions[~absent], return_inverse=True)
        indices = np.zeros(len(positions), np.int32)
        indices[~absent] = places
        user_keys = self._user_keys[used]
        record_keys = np.zeros(len(positions), np.int64)
        record_keys[~absent] = self._record_keys[positions[~absent]]
        offsets = np.arange(len(used) + 1, dtype=np.int32) * USER_KEY_LENGTH
        dictionary = pa.StringArray.from_buffers(len(used), pa.py_buffer(offsets), pa.py_buffer(user_keys))
        return (
            pa.DictionaryArray.from_arrays(pa.array(indices, mask=absent), dictionary),
            pa.array(record_keys, mask=absent),
        )

    def _number(self, token: str | None) -> int:
        known = self._numbers.get(token)
        if known is not None or token is None:
            return ABSENT if known is None else known
        try:
            user_id = meaning(token)
        except TypeError:
            number = UNSURE
        else:
            number = ABSENT if user_id is None else self._number_of_id(user_id)
        self._numbers[token] = number
        return number

    def _number_of_id(self, user_id: str) -> int:
        token = _token(user_id)
        if token not in self._numbers:
            self._append(user_id)
            # Last: whoever finds the number finds the pseudonyms too.
            self._numbers[token] = self._count - 1
        return self._numbers[token]

    def _append(self, user_id: str) -> None:
        if self._count == len(self._record_keys):
            # Other threads read the columns meanwhile: new ones take their place, and nobody's number changes.
            self._user_keys = np.concatenate([self._user_keys, np.empty_like(self._user_keys)])
            self._record_keys = np.concatenate([self._record_keys, np.empty_like(self._record_keys)])
        self._user_keys[self._count] = self._keys.user_pseudonym(user_id).encode()
        self._record_keys[self._count] = self._keys.record_pseudonym(user_id)
        self._count += 1


def meaning(token: str) -> str | None:
    """Read a token that stands for text; TypeError where only the line itself can tell."""
    if token.startswith('"'):
        return canonical_text(json.loads(token))
    if _PLAIN_INTEGER.fullmatch(token):
        return token
    if token == "null":  # noqa: S105 - of JSON
        return None
    raise TypeError("neither text nor a whole number")


def _token(user_id: str) -> str:
    return json.dumps(user_id, ensure_ascii=False)
