"""Small pictures of the videos of a data folder: one file per video, in the folder `thumbnails/`.

A file has the pictures one after the other, then three tables and a footer, all little-endian:

    pictures    WebP
    times       uint32 (N,), milliseconds of the video, increasing
    starts      uint64 (N,), where the picture of each time begins in the file
    ends        uint64 (N,), where it ends
    footer      8 bytes `SHTHUMB1`, then N as uint32

The name is a hash of the video's id. Deleting a video deletes its file. Backups do not have this folder.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.atomic_write import sync
from common.errors import StorageError
from common.thumbnails import Thumbnail

NEAR_SECONDS = 1.0
"""A picture that is further from a moment does not show it. After the last picture there may be half a
second of video, and the times of a match are wrong by up to half a second."""
_FOLDER = "thumbnails"
_SUFFIX, _UNFINISHED = ".thumbs", ".new"
_FOOTER = struct.Struct("<8sI")
_MAGIC = b"SHTHUMB1"
_TIME, _PLACE = np.dtype("<u4"), np.dtype("<u8")


class ThumbnailStore:
    """The thumbnails of one data folder. Thread-safe; the folder is made with the first picture."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / _FOLDER

    def read(self, video_id: str, seconds: float) -> Thumbnail | None:
        """The last picture at or before this time, otherwise the first one; None if there is none.
        Raises StorageError."""
        try:
            with self._path(video_id).open("rb") as file:
                return _read(file.fileno(), seconds)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}; check the disk") from None

    def all(self, video_id: str) -> Iterator[Thumbnail]:
        """Every picture of a video, in time order. Raises StorageError."""
        try:
            with self._path(video_id).open("rb") as file:
                yield from _all(file.fileno())
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}; check the disk") from None

    def of(self, video_id: str) -> VideoThumbnails | None:
        """The pictures of a video; None if it has none."""
        path = self._path(video_id)
        return VideoThumbnails(path) if os.path.exists(path) else None

    def begin(self, video_id: str) -> ThumbnailWriter:
        """Begin the pictures of a new version of a video. Raises StorageError."""
        return ThumbnailWriter(self._path(video_id))

    def delete(self, video_ids: Iterable[str]) -> None:
        """Delete the pictures of these videos. Raises StorageError."""
        try:
            for video_id in video_ids:
                self._path(video_id).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self._folder}: {error.strerror}; check the disk") from None

    def count(self, video_id: str) -> int:
        """Number of files with pictures of a video, finished or not."""
        path = self._path(video_id)
        return sum(one.exists() for one in (path, _unfinished(path)))

    def sweep(self) -> None:
        """Delete what an earlier process left unfinished."""
        with suppress(OSError):
            for path in self._folder.glob(f"*{_UNFINISHED}"):
                path.unlink(missing_ok=True)

    def _path(self, video_id: str) -> Path:
        name = hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()[:40]
        return self._folder / f"{name}{_SUFFIX}"


@dataclass(frozen=True, slots=True)
class VideoThumbnails:
    """The stored pictures of one video."""

    path: Path

    def nearest(self, times: Sequence[float]) -> list[Thumbnail]:
        """The picture nearest to each of these times, seconds.

        Raises StorageError if one of them has none within `NEAR_SECONDS`, or if the file is gone or
        damaged.
        """
        try:
            with self.path.open("rb") as file:
                found = _nearest(file.fileno(), times)
        except OSError as error:
            raise StorageError(f"{self.path}: {error.strerror}; check the disk") from None
        if found is None:
            raise StorageError(
                f"{self.path}: not all thumbnails can be read; index the video again"
            )
        return found


class ThumbnailWriter:
    """Writes the pictures of one video, beside those of its version before. Use it from one thread at a
    time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._new = _unfinished(path)
        # Time in milliseconds, then begin and end of the picture in the file.
        self._places: dict[int, tuple[int, int]] = {}
        self._size = 0
        try:
            self._new.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from None

    def add(self, pictures: Iterable[Thumbnail]) -> None:
        """Add pictures in any order; one at the time of another replaces it. Raises StorageError."""
        block = bytearray()
        added: dict[int, tuple[int, int]] = {}
        for one in pictures:
            start = self._size + len(block)
            block += one.webp
            added[round(1000 * one.seconds)] = start, start + len(one.webp)
        if not added:
            return
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            with self._new.open("ab") as file:
                file.write(block)
        except OSError as error:
            raise self._failed(error) from None
        self._size += len(block)
        self._places |= added

    def finish(self) -> None:
        """Make them the pictures of the video. Without any, it has none. Raises StorageError."""
        try:
            if not self._places:
                self._path.unlink(missing_ok=True)
                return
            self._write_tables()
            sync(self._new)
            self._new.replace(self._path)
            sync(self._path.parent)
        except OSError as error:
            raise self._failed(error) from None

    def drop(self) -> None:
        """Forget them."""
        with suppress(OSError):
            self._new.unlink(missing_ok=True)

    def _write_tables(self) -> None:
        times = sorted(self._places)
        starts, ends = np.array([self._places[one] for one in times], dtype=_PLACE).T
        with self._new.open("ab") as file:
            file.write(np.array(times, dtype=_TIME).tobytes())
            file.write(starts.tobytes())
            file.write(ends.tobytes())
            file.write(_FOOTER.pack(_MAGIC, len(times)))

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(
            f"thumbnails cannot be written: {error.strerror}; free disk space in {self._path.parent}"
        )


def _unfinished(path: Path) -> Path:
    return path.with_suffix(_UNFINISHED)


@dataclass(frozen=True, slots=True)
class _Tables:
    """Where the tables of an open file lie. start: of the first one, in bytes; count: pictures."""

    descriptor: int
    start: int
    count: int

    @classmethod
    def of(cls, descriptor: int) -> _Tables | None:
        """None if the file is not one of ours, or damaged."""
        size = os.fstat(descriptor).st_size
        if size < _FOOTER.size:
            return None
        magic, count = _FOOTER.unpack(os.pread(descriptor, _FOOTER.size, size - _FOOTER.size))
        start = size - _FOOTER.size - count * (_TIME.itemsize + 2 * _PLACE.itemsize)
        if magic != _MAGIC or count < 1 or start < 0:
            return None
        return cls(descriptor, start, count)

    def times(self) -> NDArray[Any]:
        """Milliseconds of the video, uint32 (count,)."""
        return self._numbers(_TIME, self.start, self.count)

    def picture(self, number: int, milliseconds: int) -> Thumbnail | None:
        """The picture of this number and time."""
        starts = self.start + self.count * _TIME.itemsize + number * _PLACE.itemsize
        ends = starts + self.count * _PLACE.itemsize
        (start,), (end,) = (self._numbers(_PLACE, at, 1) for at in (starts, ends))
        if not 0 <= start < end <= self.start:
            return None
        return Thumbnail(
            milliseconds / 1000, os.pread(self.descriptor, int(end - start), int(start))
        )

    def _numbers(self, kind: np.dtype[Any], at: int, length: int) -> NDArray[Any]:
        return np.frombuffer(os.pread(self.descriptor, length * kind.itemsize, at), kind)


def _read(descriptor: int, seconds: float) -> Thumbnail | None:
    tables = _Tables.of(descriptor)
    if tables is None:
        return None
    times = tables.times()
    wanted = round(1000 * max(0.0, seconds))
    number = max(0, int(np.searchsorted(times, wanted, side="right")) - 1)
    return tables.picture(number, int(times[number]))


def _nearest(descriptor: int, times: Sequence[float]) -> list[Thumbnail] | None:
    tables = _Tables.of(descriptor)
    if tables is None:
        return None
    known = tables.times().astype(np.int64)
    pictures: dict[int, Thumbnail] = {}
    numbers = []
    for seconds in times:
        distances = np.abs(known - round(1000 * seconds))
        number = int(distances.argmin())
        if distances[number] > 1000 * NEAR_SECONDS:
            return None
        if number not in pictures:
            picture = tables.picture(number, int(known[number]))
            if picture is None:
                return None
            pictures[number] = picture
        numbers.append(number)
    return [pictures[number] for number in numbers]


def _all(descriptor: int) -> Iterator[Thumbnail]:
    tables = _Tables.of(descriptor)
    if tables is None:
        return
    for number, milliseconds in enumerate(tables.times().tolist()):
        picture = tables.picture(number, milliseconds)
        if picture is not None:
            yield picture
