"""The files of a snapshot: arrays in pieces, each with a checksum, and links to files that exist already.

A file with the content of a file of an older snapshot becomes a hard link to it, so only what changed is
written.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.runtime_tuning import usable_cores

# Rows per piece: 4 MB of vectors.
PIECE_ROWS = 2048
_READERS = 4

Array: TypeAlias = npt.NDArray[Any]


def pieces_of(rows: int) -> list[tuple[int, int]]:
    """The first row of each piece, and the row after its last one."""
    return [(start, min(start + PIECE_ROWS, rows)) for start in range(0, rows, PIECE_ROWS)]


def piece_name(name: str, start: int) -> str:
    """The file of the piece that begins with a row."""
    return f"{name}-{start // PIECE_ROWS:05d}.npy"


class WrittenFiles:
    """Files that are being written to a folder.

    older: files of older snapshots by the checksum that they should have. intact: the snapshots whose
    files need no check. checksums: by the name of the file. written: the names of those that are no
    links, and written_bytes their size.
    """

    def __init__(
        self, folder: Path, older: Mapping[str, Path], intact: Collection[Path] = ()
    ) -> None:
        self.folder = folder
        self._older = older
        self._intact = intact
        self.checksums: dict[str, str] = {}
        self.written: list[str] = []
        self.written_bytes = 0

    def reuse(self, name: str, checksum: str | None) -> bool:
        """Link an older file with this checksum under a new name; False if there is none."""
        old = self._older.get(checksum) if checksum is not None else None
        if old is None or checksum is None:
            return False
        try:
            if old.parent not in self._intact and file_checksum(old) != checksum:
                return False
            os.link(old, self.folder / name)
        except OSError:
            # The file is gone, it has too many links, or the file system has none.
            return False
        self.checksums[name] = checksum
        return True

    def reuse_name(self, name: str) -> bool:
        """Link the file of this name of an older snapshot, whatever is in it; False if there is none."""
        return any(
            self.reuse(name, checksum)
            for checksum, path in self._older.items()
            if path.name == name
        )

    def remove(self, name: str) -> None:
        """Remove a file that was linked."""
        (self.folder / name).unlink()
        del self.checksums[name]

    def add(self, name: str, content: bytes | Array) -> str:
        """Add a file with these bytes, or a .npy of an array. Returns its checksum."""
        parts = [content] if isinstance(content, bytes) else list(_npy(content))
        digest = hashlib.blake2b()
        for part in parts:
            digest.update(part)
        checksum = digest.hexdigest()
        if not self.reuse(name, checksum):
            with (self.folder / name).open("xb") as file:
                for part in parts:
                    file.write(part)
            self._note(name, checksum)
        return checksum

    def note(self, name: str) -> str:
        """Note a file that was written to the folder. Returns its checksum."""
        checksum = file_checksum(self.folder / name)
        self._note(name, checksum)
        return checksum

    def _note(self, name: str, checksum: str) -> None:
        self.checksums[name] = checksum
        self.written.append(name)
        self.written_bytes += (self.folder / name).stat().st_size


class ReadFiles:
    """The files of a snapshot, each verified as it is read. checksums: by the name of the file.

    Every method raises LookupError or OSError if a file is missing, and ValueError if it is damaged.
    """

    def __init__(self, folder: Path, checksums: Mapping[str, str]) -> None:
        self._folder = folder
        self._checksums = checksums

    def __contains__(self, name: str) -> bool:
        return name in self._checksums

    def checksum(self, name: str) -> str:
        """The checksum that a file should have."""
        return self._checksums[name]

    def content(self, name: str) -> bytes:
        """The bytes of a file."""
        content = (self._folder / name).read_bytes()
        if hashlib.blake2b(content).hexdigest() != self._checksums[name]:
            raise ValueError(f"{name} does not match its checksum")
        return content

    def checked(self, name: str) -> Path:
        """The path of a file whose checksum is right."""
        path = self._folder / name
        if file_checksum(path) != self._checksums[name]:
            raise ValueError(f"{name} does not match its checksum")
        return path

    def array(self, name: str) -> Array:
        """A .npy file."""
        array: Array = np.load(io.BytesIO(self.content(name)), allow_pickle=False)
        return array

    def fill(self, name: str, target: Array) -> None:
        """Read an array that was written in pieces of `PIECE_ROWS`."""
        self.fill_parts(name, target, pieces_of(len(target)))

    def fill_parts(self, name: str, target: Array, parts: Sequence[tuple[int, int]]) -> None:
        """Read an array whose pieces have these rows."""

        def read(number: int) -> None:
            start, stop = parts[number]
            found, file = target[start:stop], piece_name(name, number * PIECE_ROWS)
            piece = _view(self.content(file))
            if (piece.shape, piece.dtype) != (found.shape, found.dtype):
                raise ValueError(f"{file}: expected {found.shape}, got {piece.shape}")
            found[...] = piece

        # Reading and checksums let other threads run.
        with ThreadPoolExecutor(min(_READERS, usable_cores())) as readers:
            for _ in readers.map(read, range(len(parts))):
                pass


def file_checksum(path: Path) -> str:
    """BLAKE2b of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


# NumPy parses the header as Python. If several threads do that at the same time, Python 3.11 may raise
# SystemError: "AST constructor recursion depth mismatch" (https://github.com/python/cpython/issues/106905).
_one_parser = threading.Lock()


def _view(content: bytes) -> Array:
    """The array of the bytes that `_npy` made, not a copy."""
    stream = io.BytesIO(content)
    np.lib.format.read_magic(stream)
    with _one_parser:
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    return np.frombuffer(content, dtype, offset=stream.tell()).reshape(shape)


def _npy(array: Array) -> Iterator[bytes | memoryview]:
    """The bytes of a .npy file."""
    array = np.ascontiguousarray(array)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    yield header.getvalue()
    if array.size:
        yield array.reshape(-1).view(np.uint8).data
