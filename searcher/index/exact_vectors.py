"""Exact vectors in a memory-mapped file, beside a graph that has compressed ones.

The file is in the folder TMPDIR and has no name, so it is deleted with the process. The kernel keeps the
part of it in memory that searches use, and gives this memory to others when it is short.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref

import numpy as np

from common.errors import StorageError
from common.types import Float32Array
from searcher.index.graph import PADDED_DIMENSION

_ROW_BYTES = PADDED_DIMENSION * np.dtype(np.float32).itemsize


class ExactVectors:
    """array: float32 (count, 528), in the file. A graph that grows from another one shares its file: it
    writes only beyond the rows of the other."""

    def __init__(self, count: int, file: int | None = None) -> None:
        """Make room for `count` rows; those that the file has stay. file: its descriptor (default: a new
        file). Raises StorageError if the disk is full."""
        self._file = _new_file() if file is None else os.dup(file)
        # States of the shard drop their graphs whenever the last reader has ended.
        weakref.finalize(self, os.close, self._file)
        size = max(count, 1) * _ROW_BYTES
        try:
            # Without room on the disk, writing to the map would kill the process.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file, 0, size)
            else:
                os.truncate(self._file, size)
            mapped = mmap.mmap(self._file, size)
        except OSError as error:
            raise _refusal(error) from None
        self.array: Float32Array = np.frombuffer(
            mapped, np.float32, count * PADDED_DIMENSION
        ).reshape(count, PADDED_DIMENSION)

    def grown(self, count: int) -> ExactVectors:
        """The vectors with room for more rows, in the same file. Raises StorageError."""
        return ExactVectors(count, self._file)


def _new_file() -> int:
    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise _refusal(error) from None


def _refusal(error: OSError) -> StorageError:
    return StorageError(
        f"exact vectors cannot be kept in a temporary file ({error.strerror}); free some disk space, or "
        "name another folder with TMPDIR"
    )
