"""Keyed pseudonyms: what stands in raw tables in place of a user's id.

`user_key` is HMAC-SHA256(K_user, id) in hex, `record_key` the first 60 bits of HMAC-SHA256(K_record, id)
as an integer. Whoever lacks the keys cannot lead a pseudonym back to a person, nor test a guess.
"""

import hashlib
import hmac
import os
import secrets
import tomllib
import unicodedata
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from pipelines.errors import KpiError, SettingError
from pipelines.warehouse import Warehouse, secret

MINIMUM_KEY_LENGTH = 32
LONGEST_EXACT_EXPONENT = 10_000


@dataclass(frozen=True)
class Keys:
    """The two secret keys. They are shown nowhere, not even in an error's text."""

    user_key: bytes = field(repr=False)
    record_key: bytes = field(repr=False)

    def user_pseudonym(self, canonical_id: str) -> str:
        """64 hexadecimal digits that stand for a user wherever users are counted."""
        return hmac.digest(self.user_key, canonical_id.encode(), "sha256").hex()

    def record_pseudonym(self, canonical_id: str) -> int:
        """60 bits that stand for a user where figures are protected."""
        return int.from_bytes(hmac.digest(self.record_key, canonical_id.encode(), "sha256")[:8]) >> 4

    def id_pseudonym(self, canonical_id: str) -> str:
        """`hmac-` and 64 hexadecimal digits in place of the id of an event or a session that is more than an id."""
        return "hmac-" + hmac.digest(self.user_key, b"id\0" + canonical_id.encode(), "sha256").hex()

    def line_hash(self, line: bytes) -> str:
        """64 hexadecimal digits that tell equal lines in quarantine; keyed, so that no guess can be tested."""
        return hmac.digest(self.user_key, b"line\0" + line, "sha256").hex()

    def erasure_id(self, user_key: str) -> str:
        """64 hexadecimal digits that say that a user was erased, and lead from nothing stored to nobody."""
        return hmac.digest(self.user_key, b"erased\0" + user_key.encode(), "sha256").hex()

    def fingerprints(self) -> dict[str, str]:
        """Tell one key from another without giving it away: 16 hexadecimal digits each."""
        return {
            "user_key": hmac.digest(self.user_key, b"fingerprint", hashlib.sha256).hex()[:16],
            "record_key": hmac.digest(self.record_key, b"fingerprint", hashlib.sha256).hex()[:16],
        }


def canonical_text(value: object) -> str | None:
    """Give the one form of an id: digits for numbers, Unicode NFC, no surrounding white space, blank is None.

    The integer 7, the number 7.0 and the text " 7 " are one id. Case counts. A value that is neither
    text nor number (a boolean, a list, an object) has no such form: TypeError.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise TypeError(f"{type(value).__name__} is neither text nor number")
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value).strip() or None
    number = Decimal(str(value))
    if not number.is_finite():
        raise TypeError("a number that is not finite")
    if not number:
        return "0"
    if abs(number.adjusted()) >= LONGEST_EXACT_EXPONENT:
        sign, digits, exponent = number.as_tuple()
        coefficient = "".join(map(str, digits))
        shortest = coefficient.rstrip("0")
        zeros = len(coefficient) - len(shortest)
        return f"{'-' if sign else ''}{shortest}E{int(exponent) + zeros}"
    # Written out, never rounded: Decimal's own arithmetic keeps 28 digits only.
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def load_keys(warehouse: Warehouse) -> Keys:
    """Read the keys from dlt's secrets; the embedded warehouse makes its own, once, readable by its owner only.

    Raises SettingError where they are required (BigQuery), where only one is given, or where one is too short.
    """
    user_key, record_key = secret("kpi_user_key"), secret("kpi_record_key")
    if user_key and record_key:
        return _keys(user_key, record_key, "KPI_USER_KEY and KPI_RECORD_KEY")
    if user_key or record_key:
        missing = "KPI_RECORD_KEY" if user_key else "KPI_USER_KEY"
        raise SettingError(f"{missing} is not set, but the other key is.", f"Set {missing} too, or neither.")
    if warehouse.target != "duckdb":
        raise SettingError(
            f"KPI_USER_KEY and KPI_RECORD_KEY are required with KPI_TARGET={warehouse.target}.",
            "Make each with: python -c 'import secrets; print(secrets.token_hex(32))' and keep both in your secret store.",
        )
    if not warehouse.keys_file.exists():
        write_keys_file(warehouse.keys_file, Keys(make_key(), make_key()), is_first=True)
    return _read_keys_file(warehouse.keys_file)


def check_fingerprints(keys: Keys, stored: dict[str, str]) -> None:
    """Raise KpiError if the data were stored under another user key: every user would count twice."""
    if stored.get("user_key") not in {None, keys.fingerprints()["user_key"]}:
        raise KpiError(
            "The user key is not the one that the stored events were loaded with: every user would count twice.",
            "Set KPI_USER_KEY (or put the keys file back) as it was. To change keys, load into a new warehouse.",
        )


def make_key() -> bytes:
    """Make a key out of 256 random bits."""
    return secrets.token_hex(32).encode()


def write_keys_file(path: Path, keys: Keys, *, is_first: bool = False) -> None:
    """Write the keys, readable by their owner only; where there is a file it is replaced, or kept if this is the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Keys of the pseudonyms in the warehouse beside this file. Keep them secret, and keep them:",
        "# without them no further events can be loaded into it.",
        f'kpi_user_key = "{keys.user_key.decode()}"',
        f'kpi_record_key = "{keys.record_key.decode()}"',
        "",
    ]
    scratch = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
        file.flush()
        os.fsync(file.fileno())
    if not is_first:
        scratch.replace(path)
        return
    try:
        # A link fails where the name is taken: of two first runs at once, both read the keys of one.
        os.link(scratch, path)
    except FileExistsError:
        pass
    finally:
        scratch.unlink()


def _read_keys_file(path: Path) -> Keys:
    if path.stat().st_mode & 0o077:
        raise SettingError(f"{path} can be read by others than its owner.", f"Run: chmod 600 {path}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return _keys(str(content["kpi_user_key"]), str(content["kpi_record_key"]), path.name)
    except (tomllib.TOMLDecodeError, KeyError, UnicodeDecodeError):
        raise SettingError(
            f"{path} does not hold kpi_user_key and kpi_record_key.", "Put the file back from your backup."
        ) from None


def _keys(user_key: str, record_key: str, origin: str) -> Keys:
    if min(len(user_key), len(record_key)) < MINIMUM_KEY_LENGTH:
        raise SettingError(
            f"A key in {origin} is shorter than {MINIMUM_KEY_LENGTH} characters.",
            "Make each with: python -c 'import secrets; print(secrets.token_hex(32))'.",
        )
    if user_key == record_key:
        raise SettingError(f"The two keys in {origin} are the same.", "Make one for each.")
    return Keys(user_key.encode(), record_key.encode())
