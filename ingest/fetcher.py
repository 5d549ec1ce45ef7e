"""Downloads in a child process that has network access and decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeAlias

from common.errors import StorageError
from common.sandbox.codec import NO_RESULT
from common.sandbox.limits import Check, ChildLimits
from common.sandbox.process import Beat, Child
from common.scratch import ScratchFolder, default_scratch, empty_scratch
from common.settings import IngestSettings
from ingest.fetch import fetch

# Buffers, certificates, and what a server can make the HTTP library store.
_MEMORY_MIB = 512
# Connecting, the TLS handshake, sending and waiting may each take the time-out between two blocks.
_SILENCES, _SPARE_SECONDS = 5, 10.0
_Job: TypeAlias = tuple[str, str]


class DownloadFolder:
    """The folder of downloads. It keeps no files, not even of killed processes. Thread-safe."""

    def __init__(self, settings: IngestSettings) -> None:
        """Deletes files of killed processes."""
        self._parent = settings.download_dir or default_scratch("downloads")
        self._lock = Lock()
        self._folder: ScratchFolder | None = None
        # An unusable folder is an error only when something is fetched.
        with suppress(StorageError):
            empty_scratch(self._parent)

    def new_file(self) -> Path:
        """A new empty file. Raises StorageError."""
        with self._lock:
            if self._folder is None:
                self._folder = ScratchFolder(self._parent)
            return self._folder.new_file()

    def close(self) -> None:
        """Delete everything."""
        with self._lock:
            if self._folder is not None:
                self._folder.close()
                self._folder = None


class Fetcher:
    """Fetches one URL at a time. Use from one thread."""

    def __init__(
        self, settings: IngestSettings, folder: DownloadFolder, start_seconds: float
    ) -> None:
        limits = ChildLimits(
            stall_seconds=_SILENCES * settings.fetch_timeout_seconds + _SPARE_SECONDS,
            wall_seconds=settings.max_fetch_seconds + _SPARE_SECONDS,
            memory_mib=_MEMORY_MIB,
            start_seconds=start_seconds,
            stall_setting="STORYHASH_INGEST__FETCH_TIMEOUT_SECONDS",
            wall_setting="STORYHASH_INGEST__MAX_FETCH_SECONDS",
            network=True,
            file_bytes=settings.max_fetch_bytes + 1,
            name="download",
            doing="received",
        )
        self._folder = folder
        self._child: Child[_Job, None] = Child(partial(_work, settings), limits, NO_RESULT)

    @contextmanager
    def fetched(self, uri: str, check: Check = lambda: None) -> Iterator[Path]:
        """A file with the content of a URL, for the duration of the block. Raises FetchError,
        StorageError and the errors of `Child.run`."""
        path = self._folder.new_file()
        try:
            for _ in self._child.run((uri, str(path)), check):
                pass
            yield path
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Kill the child."""
        self._child.close()


def _work(settings: IngestSettings, job: _Job, beat: Beat) -> Iterator[None]:
    """The work of the child for one job. It yields nothing: the result is in the file."""
    uri, path = job
    fetch(uri, Path(path), settings, beat)
    yield from ()
