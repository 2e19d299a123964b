"""Bearer tokens: who may push, and who may start an export."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Literal

from pipelines.errors import SettingError
from pipelines.serve.refusals import Refusal
from pipelines.warehouse import secret

Scope = Literal["push", "export"]

SETTINGS: Mapping[Scope, str] = {"push": "KPI_PUSH_TOKENS", "export": "KPI_EXPORT_TOKENS"}
SHORTEST = 32
_FORM = re.compile(r"[A-Za-z0-9._~+/=-]+")
_CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Tokens:
    """The tokens of each scope, as hashes: of equal length, so that comparing them takes the same time whatever is given."""

    def __init__(self, by_scope: Mapping[Scope, tuple[str, ...]]) -> None:
        self._hashes = {scope: [_hash(token) for token in tokens] for scope, tokens in by_scope.items()}

    def count(self, scope: Scope) -> int:
        """Say how many tokens a scope has."""
        return len(self._hashes.get(scope, []))

    def check(self, authorization: str | None, scope: Scope) -> None:
        """Raise Refusal unless the header brings a token of the scope."""
        kind, _, given = (authorization or "").partition(" ")
        given_hash = _hash(given.strip())
        # Every token is compared, whichever of them fits.
        fits = {
            each: sum([hmac.compare_digest(given_hash, known) for known in hashes])
            for each, hashes in self._hashes.items()
        }
        if not any(self._hashes.values()):
            raise Refusal(
                401,
                "no_tokens",
                f"this server has no tokens, so that it takes nothing: set {SETTINGS[scope]} and start it again",
                headers=_CHALLENGE,
            )
        if kind.lower() != "bearer" or not given.strip():
            raise Refusal(
                401, "no_token", "send a token in the header: Authorization: Bearer TOKEN", headers=_CHALLENGE
            )
        if not any(fits.values()):
            raise Refusal(401, "unknown_token", "the token is none of this server's", headers=_CHALLENGE)
        if not fits.get(scope):
            raise Refusal(403, "wrong_scope", f"the token may not {scope}: it is none of {SETTINGS[scope]}")


def read_tokens() -> Tokens:
    """Read the tokens from the secrets, several of one scope with commas or blanks between them.

    Raises SettingError naming the setting whose token is too short or cannot stand in a header.
    """
    found: dict[Scope, tuple[str, ...]] = {}
    for scope, name in SETTINGS.items():
        tokens = tuple(re.split(r"[\s,]+", text.strip(" ,\n"))) if (text := secret(name.lower())) else ()
        for number, token in enumerate(tokens, 1):
            if len(token) < SHORTEST or not _FORM.fullmatch(token):
                raise SettingError(
                    f"Token {number} of {name} is shorter than {SHORTEST} characters, or has others than A-Z a-z 0-9 . _ ~ + / = -.",
                    "Make each with: python -c 'import secrets; print(secrets.token_urlsafe(32))'.",
                )
        found[scope] = tokens
    return Tokens(found)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
