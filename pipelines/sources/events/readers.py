"""One event file of any format, as outcomes of some lines at a time."""

from collections.abc import Iterator

from pipelines.privacy.identity import Keys
from pipelines.sources.events.blocks import Lines, LongLine
from pipelines.sources.events.columns import LineReader, Outcome, Rejected
from pipelines.sources.events.files import EventFile
from pipelines.sources.events.mapping import Mapping


class FileReader:
    """Reads one file. Iterate over it, then look at `size`."""

    def __init__(self, file: EventFile, mapping: Mapping, keys: Keys) -> None:
        self._file = file
        self._mapping = mapping
        self._keys = keys
        self.size = file.size
        """Bytes of the file that were read; fewer than it has if a last line is still being written."""

    def __iter__(self) -> Iterator[Outcome]:
        yield from self._json_lines()

    def _json_lines(self) -> Iterator[Outcome]:
        reader = LineReader(self._mapping, self._keys)
        try:
            with self._file.open() as stream:
                lines = Lines(stream, self._keys.user_key, self._is_complete)
                first = True
                for block in lines:
                    if isinstance(block, LongLine):
                        yield Outcome(
                            rejected=[Rejected(block.line_number, "malformed", None, block.line_hash)]
                        )
                        continue
                    if first:
                        reader.learn(block)
                        first = False
                    yield reader.read(block)
                self.size -= lines.left_over
        finally:
            reader.close()

    def _is_complete(self) -> bool:
        return self._file.is_gzip or self._file.size_now() == self._file.size


def read_file(file: EventFile, mapping: Mapping, keys: Keys) -> FileReader:
    """Choose the reader for a file's format."""
    return FileReader(file, mapping, keys)
