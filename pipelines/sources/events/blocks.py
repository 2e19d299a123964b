"""A stream of bytes as blocks of whole lines, in memory that does not grow with the stream."""

import hashlib
import hmac
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

READ_SIZE = 16 * 1024 * 1024
LONGEST_LINE = 16 * 1024 * 1024
SCAN_SIZE = 256 * 1024
NEWLINE = 10
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Block:
    """Some whole lines. The memory is used again for the next block."""

    data: bytearray
    offsets: npt.NDArray[np.int32]
    """Where each line starts, and where the last one ends; line ends belong to their lines."""
    first_line_number: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def line(self, row: int) -> bytes:
        """Copy one line, without its end."""
        line = bytes(self.data[self.offsets[row] : self.offsets[row + 1]])
        return line.removesuffix(b"\n").removesuffix(b"\r")

    def rows_of(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tell on which lines some positions in the data are."""
        return np.searchsorted(self.offsets, positions, side="right") - 1

    def copy(self) -> "Block":
        """Copy the block into memory of its own."""
        start, end = int(self.offsets[0]), int(self.offsets[-1])
        return Block(self.data[start:end], self.offsets - np.int32(start), self.first_line_number)

    def lines(self) -> pa.StringArray:
        """Show all lines to Arrow without a copy. Nobody has checked yet that they are text."""
        return pa.StringArray.from_buffers(len(self), pa.py_buffer(self.offsets), pa.py_buffer(self.data))


@dataclass(frozen=True)
class LongLine:
    """A line too long to be read: only its hash is known."""

    line_number: int
    line_hash: str


class Lines:
    """Cuts a stream into blocks of whole lines."""

    def __init__(
        self, stream: io.BufferedIOBase, user_key: bytes, may_end: Callable[[], bool] = lambda: True
    ) -> None:
        """Read `stream`; `may_end` says at its end whether a last line without a line end is complete."""
        self._stream = stream
        self._user_key = user_key
        self._may_end = may_end
        self._buffer = bytearray(LONGEST_LINE + READ_SIZE)
        self._filled = 0
        self._line_number = 1
        self._scratch = np.empty(SCAN_SIZE, np.bool_)
        self.left_over = 0
        """Bytes of a last line that was left for the next run."""

    def __iter__(self) -> Iterator[Block | LongLine]:
        start = 0
        while True:
            read = self._fill()
            if self._line_number == 1 and start == 0 and self._buffer.startswith(BYTE_ORDER_MARK):
                start = len(BYTE_ORDER_MARK)
            cut = self._buffer.rfind(b"\n", start, self._filled) + 1
            if not read:
                cut = self._last_cut(cut)
            if cut > start:
                yield self._block(start, cut)
            elif read and self._filled >= LONGEST_LINE:
                yield self._long_line(start)
                cut = 0
            start = start if cut == 0 and self._filled and start else 0
            self._keep_from(cut)
            if not read:
                return

    def _fill(self) -> int:
        end = min(self._filled + READ_SIZE, len(self._buffer))
        # Straight into the buffer: `read` would copy every byte on its way.
        with memoryview(self._buffer) as buffer:
            read = self._stream.readinto(buffer[self._filled : end])
        self._filled += read
        return read

    def _last_cut(self, cut: int) -> int:
        if cut < self._filled and not self._may_end():
            self.left_over = self._filled - cut
            return cut
        return self._filled

    def _block(self, start: int, cut: int) -> Block:
        ends = self._line_ends(start, cut)
        if not len(ends) or ends[-1] != cut:
            ends = np.append(ends, np.int32(cut))
        offsets = np.empty(len(ends) + 1, np.int32)
        offsets[0], offsets[1:] = start, ends
        block = Block(self._buffer, offsets, self._line_number)
        self._line_number += len(ends)
        return block

    def _line_ends(self, start: int, cut: int) -> npt.NDArray[np.int32]:
        data = np.frombuffer(self._buffer, np.uint8, cut)
        found = []
        # In pieces that fit into the processor's cache: much faster than at once.
        for at in range(start, cut, SCAN_SIZE):
            piece = data[at : at + SCAN_SIZE]
            hits = np.equal(piece, NEWLINE, out=self._scratch[: len(piece)])
            found.append(np.flatnonzero(hits) + (at + 1))
        return np.concatenate(found).astype(np.int32)

    def _keep_from(self, cut: int) -> None:
        rest = self._filled - cut
        if cut and rest:
            self._buffer[:rest] = self._buffer[cut : self._filled]
        self._filled = rest

    def _long_line(self, start: int) -> LongLine:
        """Read to the end of a line that is too long, keeping nothing of it but its hash."""
        digest = hmac.new(self._user_key, b"line\0", hashlib.sha256)
        piece = bytes(self._buffer[start : self._filled])
        self._filled = 0
        while True:
            end = piece.find(b"\n")
            following = self._stream.read(READ_SIZE) if end < 0 else b""
            if end >= 0 or not following:
                line = piece if end < 0 else piece[:end]
                digest.update(line.removesuffix(b"\r") if end >= 0 else line)
                rest = b"" if end < 0 else piece[end + 1 :]
                self._buffer[: len(rest)] = rest
                self._filled = len(rest)
                self._line_number += 1
                return LongLine(self._line_number - 1, digest.hexdigest())
            # A carriage return at the end of a piece may belong to the line end.
            held = 1 if piece.endswith(b"\r") else 0
            digest.update(piece[: len(piece) - held])
            piece = piece[len(piece) - held :] + following
