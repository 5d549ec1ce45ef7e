"""Data that is too large for memory, in an unnamed temporary file that is deleted with the process."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from common.closeable import Closeable
from common.errors import StorageError
from common.types import Segment, SegmentRef


class Spool(Closeable):
    """Blocks of bytes, stored in order and read by number. Thread-safe for readers.

    The file is in the folder TMPDIR, which should not be in memory itself.
    """

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._ends = [0]

    def __len__(self) -> int:
        return len(self._ends) - 1

    @property
    def size_bytes(self) -> int:
        """Bytes of all blocks."""
        return self._ends[-1]

    def append(self, block: bytes) -> None:
        """Store a block. Raises StorageError if the disk is full."""
        unwritten, offset = memoryview(block), self._ends[-1]
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
            while unwritten:
                written = os.pwrite(self._file.fileno(), unwritten, offset)
                unwritten, offset = unwritten[written:], offset + written
        except OSError as error:
            raise _full(error) from None
        self._ends.append(offset)

    def read(self, number: int) -> bytes:
        """The block with this number, from 0."""
        start, end = self._ends[number], self._ends[number + 1]
        parts = []
        while start < end and self._file is not None:
            part = os.pread(self._file.fileno(), end - start, start)
            if not part:
                raise StorageError("a temporary file was truncated by another process")
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Give the space back."""
        if self._file is not None:
            self._file.close()
            self._file = None


class SegmentSpool(Closeable):
    """The segments of one video, in time order; their clips on disk."""

    def __init__(self) -> None:
        self._clips = Spool()
        self._refs: list[SegmentRef] = []

    def __len__(self) -> int:
        return len(self._refs)

    @property
    def size_bytes(self) -> int:
        """Bytes of all clips."""
        return self._clips.size_bytes

    @property
    def end_seconds(self) -> float:
        """End of the last segment; 0 without segments."""
        return self._refs[-1].end_seconds if self._refs else 0.0

    def add(self, segment: Segment) -> None:
        """Store the next segment. Raises StorageError."""
        self._clips.append(segment.clip)
        self._refs.append(segment.ref)

    def between(self, start_seconds: float, end_seconds: float) -> Iterator[Segment]:
        """The segments that overlap [start, end), read one at a time."""
        for number, ref in enumerate(self._refs):
            if ref.end_seconds > start_seconds and ref.start_seconds < end_seconds:
                yield Segment(ref, self._clips.read(number))

    def close(self) -> None:
        """Give the space back."""
        self._clips.close()


@dataclass(frozen=True, slots=True)
class DecodedVideo:
    """A decoded and packed video; its clips are on disk until it is closed. damaged: what could not be
    decoded, or empty."""

    segments: SegmentSpool
    duration_seconds: float
    damaged: str = ""

    def close(self) -> None:
        """Give the space back."""
        self.segments.close()


def _full(error: OSError) -> StorageError:
    return StorageError(
        f"a query cannot be stored while it is processed: {error.strerror}; free some disk "
        f"space in {tempfile.gettempdir()}, or set TMPDIR to another folder"
    )
