"""Pages as fetched, kept for 30 days beside the warehouse, for a mended extractor to read again.

One gzip file per target and fetch: a line of JSON (address hash, status, content type, validators),
then the body. Only the owner can read it; a signed-in page may say more than its figure.
"""

import datetime as dt
import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.sources.scraped.extractors import Page
from pipelines.sources.scraped.targets import Target

KEPT_DAYS = 30
_SUFFIX = ".page.gz"
_INSTANT = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Kept:
    """What is kept beside a body."""

    url_hash: str
    http_status: int
    content_type: str
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True)
class KeptPage:
    """A page from the folder."""

    fetched_at: dt.datetime
    kept: Kept
    body: bytes

    def page(self, target: Target) -> Page:
        """Give the page as it was fetched."""
        return Page(self.body, self.kept.content_type, target.url)


class PageFolder:
    """The folder of kept pages, one folder a target below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(
        self, target: Target, fetched_at: dt.datetime, status: int, page: Page, headers: Mapping[str, str]
    ) -> None:
        """Write a page, whole or not at all."""
        kept = Kept(
            url_hash=url_hash(target),
            http_status=status,
            content_type=page.content_type,
            etag=headers.get("ETag"),
            last_modified=headers.get("Last-Modified"),
        )
        folder = self._folder / target.metric_key
        for part in (self._folder, folder):
            part.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = json.dumps(asdict(kept)).encode() + b"\n" + page.body
        path = folder / f"{fetched_at.strftime(_INSTANT)}{_SUFFIX}"
        scratch = path.with_name(f".{path.name}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(gzip.compress(content, compresslevel=6, mtime=0))
        scratch.replace(path)

    def all_of(self, target: Target) -> Iterator[KeptPage]:
        """Give the kept pages of a target, oldest first; a damaged file is passed over."""
        for path in sorted((self._folder / target.metric_key).glob(f"[0-9]*{_SUFFIX}")):
            found = _read(path)
            if found is not None:
                yield found

    def newest_of(self, target: Target) -> KeptPage | None:
        """Give the last page of the target's address as it is declared now."""
        for path in sorted((self._folder / target.metric_key).glob(f"[0-9]*{_SUFFIX}"), reverse=True):
            found = _read(path)
            if found is not None and found.kept.url_hash == url_hash(target):
                return found
        return None

    def prune(self, now: dt.datetime) -> int:
        """Remove pages older than 30 days, and what a killed run left half-written; give their number."""
        oldest = now - dt.timedelta(days=KEPT_DAYS)
        removed = 0
        for path in self._folder.glob(f"*/*{_SUFFIX}"):
            instant = None if path.name.startswith(".") else _instant(path)
            if instant is None or instant < oldest:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def url_hash(target: Target) -> str:
    """Tell one address from another without keeping it: 16 hexadecimal digits."""
    return hashlib.sha256(target.url.encode()).hexdigest()[:16]


def _instant(path: Path) -> dt.datetime | None:
    try:
        return dt.datetime.strptime(path.name.removesuffix(_SUFFIX), _INSTANT).replace(tzinfo=dt.UTC)
    except ValueError:
        return None


def _read(path: Path) -> KeptPage | None:
    instant = _instant(path)
    if instant is None:
        return None
    try:
        head, _, body = gzip.decompress(path.read_bytes()).partition(b"\n")
        return KeptPage(instant, Kept(**json.loads(head)), body)
    except (OSError, EOFError, zlib.error, ValueError, TypeError):
        return None
