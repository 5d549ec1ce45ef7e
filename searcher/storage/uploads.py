"""Uploaded videos of the catalogue: their files, in the folder `uploads/` of a data folder.

Each video has a folder of its own, named by a hash of its id, with one file, named by the hash of its
content. Deleting a video deletes them. Backups do not have them.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath

from common.atomic_write import sync
from common.errors import StorageError, UploadsFullError
from common.ids import id_in_path
from common.uris import public_uri

_FOLDER = "uploads"
# In the path of each uploaded file.
UPLOADS_PART = f"{os.sep}{_FOLDER}{os.sep}"
_UNFINISHED = ".new"
# Players choose by it. Anything else of a name that a caller gives never gets into a path.
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


class UploadedVideos:
    """The files of one data folder, of which one process at a time adds some. Thread-safe; the folder is
    made with the first file."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir.absolute() / _FOLDER
        self._lock = threading.Lock()
        # Bytes of all files; None until they are counted.
        self._bytes: int | None = None
        # Bytes of the files that are being moved here.
        self._arriving = 0

    def check_room(self, size: int, most_bytes: int) -> None:
        """Raises UploadsFullError if a further file of this size exceeds the bound of all."""
        with self._lock:
            self._check_room(size, most_bytes)

    @contextmanager
    def taken_in(self, file: Path, most_bytes: int) -> Iterator[Path]:
        """Move a file into the folder, under a name for the time of the block, within which it is given
        to `keep`. Otherwise it is deleted. Raises UploadsFullError, StorageError."""
        try:
            size = file.stat().st_size
            with self._lock:
                self._check_room(size, most_bytes)
                self._arriving += size
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                here = self._folder / f"{secrets.token_hex(16)}{_UNFINISHED}"
                try:
                    shutil.move(file, here)
                    sync(here)
                    yield here
                finally:
                    here.unlink(missing_ok=True)
            finally:
                with self._lock:
                    self._arriving -= size
        except OSError as error:
            raise self._failed(error) from None

    def path(self, video_id: str, sha256: str, name: str) -> Path:
        """Where the file of a video is kept. name: as the sender calls the file."""
        suffix = Path(name).suffix
        return self._of(video_id) / f"{sha256}{suffix.lower() if _SUFFIX.fullmatch(suffix) else ''}"

    def keep(self, file: Path, video_id: str, path: Path) -> None:
        """Make a file of `taken_in` that of a video, in place of an earlier one. path: see `path`. Raises
        StorageError."""
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.exists():
                size = file.stat().st_size
                file.replace(path)
                with self._lock:
                    if self._bytes is not None:
                        self._bytes += size
                sync(path.parent)
                sync(self._folder)
        except OSError as error:
            raise self._failed(error) from None
        self._remove(other for other in self._files(video_id) if other != path)

    def holds(self, uri: str) -> bool:
        """Whether this is the path of an uploaded file."""
        return uri.startswith(f"{self._folder}{os.sep}")

    def moved(self, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        """Of videos with their URIs: those whose uploaded file was in another data folder and is here
        now, with its path, because the folder was moved or restored elsewhere."""
        for video_id, uri in rows:
            if not self.holds(uri) and _is_upload(video_id, uri):
                here = self._of(video_id) / PurePath(uri).name
                if here.is_file():
                    yield video_id, str(here)

    def delete(self, video_ids: Iterable[str]) -> None:
        """Delete the files of these videos. Raises StorageError."""
        for video_id in video_ids:
            self._remove(self._files(video_id))
            with suppress(OSError):
                self._of(video_id).rmdir()

    def count(self, video_id: str) -> int:
        """Number of files of a video."""
        return len(self._files(video_id))

    def sweep(self) -> None:
        """Delete what an earlier process left unfinished."""
        with suppress(OSError):
            for path in self._folder.glob(f"*{_UNFINISHED}"):
                path.unlink(missing_ok=True)

    def _check_room(self, size: int, most_bytes: int) -> None:
        if self._bytes is None:
            self._bytes = sum(map(_size_of, self._folder.glob("*/*")))
        if self._bytes + self._arriving + size > most_bytes:
            raise UploadsFullError(
                f"the uploaded videos of the catalogue use {self._bytes + self._arriving} of "
                f"{most_bytes} bytes (STORYHASH_HTTP__MAX_KEPT_UPLOADS_BYTES), and {size} more do not "
                "fit; delete videos, or raise the limit"
            )

    def _remove(self, paths: Iterable[Path]) -> None:
        try:
            for path in paths:
                path.unlink(missing_ok=True)
                with self._lock:
                    self._bytes = None
        except OSError as error:
            raise self._failed(error) from None

    def _files(self, video_id: str) -> list[Path]:
        return list(self._of(video_id).glob("*"))

    def _of(self, video_id: str) -> Path:
        return self._folder / _name_of(video_id)

    def _failed(self, error: OSError) -> StorageError:
        return StorageError(f"{self._folder}: {error.strerror}; free some disk space")


def _size_of(path: Path) -> int:
    """Bytes of a file; 0 if it was deleted meanwhile."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def shown_uri(video_id: str, uri: str) -> str:
    """The URI of a video as callers see it: without secrets, and for an uploaded file, whose path is
    nobody's business, its address in the API, relative to the service."""
    if _is_upload(video_id, uri):
        return f"/v1/videos/{id_in_path(video_id)}/content"
    return public_uri(uri)


def _is_upload(video_id: str, uri: str) -> bool:
    """Whether a URI is the path of the uploaded file of a video, in any data folder."""
    folder = PurePath(uri).parent
    return folder.name == _name_of(video_id) and folder.parent.name == _FOLDER


def _name_of(video_id: str) -> str:
    """The name of the folder of a video."""
    return hashlib.sha256(video_id.encode(errors="surrogatepass")).hexdigest()[:40]
