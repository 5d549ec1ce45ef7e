"""The embedded mirror in a process of its own.

Qdrant's engine holds Python's interpreter lock during writes, and for the tenth of a second of a flush to
disk. In the process that answers queries, each query would wait for it.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from common.errors import CorruptIndexError, StorageError, StoryHashError
from common.runtime_tuning import die_with, yield_to_queries
from common.types import Embedding
from searcher.mirror.base import NO_VIDEOS
from searcher.mirror.embedding_batch import Columns
from searcher.mirror.qdrant_edge import QdrantEmbeddedMirror
from searcher.storage.video import Video

_CLOSE_SECONDS = 30.0


class MirrorProcess:
    """A `QdrantEmbeddedMirror` in another process. Thread-safe; a lock serialises requests.

    If the process dies, its request fails with StorageError, and the next request starts a new process.
    Writes that were not flushed count as lost.
    """

    def __init__(self, folder: Path, model_id: str) -> None:
        """Open the folder, or create it. Raises the errors of `QdrantEmbeddedMirror`."""
        self.model_id = model_id
        self._folder = folder
        self._turn = threading.Lock()
        self._process: Any = None
        self._pipe: Connection[Any, Any] | None = None
        with self._turn:
            self._start()

    @property
    def pid(self) -> int | None:
        """The process there is."""
        return None if self._process is None else self._process.pid

    def upsert(
        self, embeddings: Sequence[Embedding], videos: Mapping[str, Video] = NO_VIDEOS
    ) -> None:
        named = {one.ref.video_id for one in embeddings}
        rows = {video_id: row for video_id, row in videos.items() if video_id in named}
        self._ask("write", Columns.of(embeddings), rows)

    def delete_video(self, video_id: str, *, keep_version: int | None = None) -> None:
        self._ask("delete_video", video_id, keep_version)

    def flush(self) -> None:
        self._ask("flush")

    def count(self) -> int:
        return int(self._ask("count"))

    def scan(
        self, video_ids: Sequence[str] | None = None, batch: int = 1000
    ) -> Iterator[list[Embedding]]:
        offset: Any = None
        while True:
            columns, offset = self._ask("page", video_ids, batch, offset)
            if columns.places:
                yield columns.embeddings()
            if offset is None:
                return

    def videos(self) -> Iterator[tuple[dict[str, Any], int]]:
        yield from self._ask("videos")

    def close(self) -> None:
        with self._turn:
            process, pipe = self._process, self._pipe
            self._process = self._pipe = None
        atexit.unregister(self.close)
        if process is None or pipe is None:
            return
        # It closes the folder when nobody can ask any more.
        pipe.close()
        process.join(_CLOSE_SECONDS)
        process.kill()
        process.join()

    def _ask(self, what: str, *given: Any) -> Any:
        with self._turn:
            if self._pipe is None:
                self._start()
            return self._answer((what, given))

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._folder, self.model_id, os.getpid()), daemon=True
        )
        self._process.start()
        theirs.close()
        # Before multiprocessing waits, at exit, for processes that still have something to wait for.
        atexit.register(self.close)
        self._answer(None)

    def _answer(self, request: tuple[str, tuple[Any, ...]] | None) -> Any:
        pipe = self._pipe
        if pipe is None:
            raise ValueError("the mirror is closed")
        try:
            if request is not None:
                pipe.send(request)
            done, value = pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if done:
            return value
        if request is None:
            self._forget()
        raise value

    def _death(self) -> StorageError:
        process = self._process
        process.join()
        code = process.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._forget()
        return StorageError(
            f"{self._folder}: the process that keeps the mirror died ({name}); check the free disk space "
            "and memory, then start again"
        )

    def _forget(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None
        atexit.unregister(self.close)


def _serve(pipe: Connection[Any, Any], folder: Path, model_id: str, parent: int) -> None:
    """The main function of the process: serves requests until the pipe closes."""
    # Whoever ends the service asks all its processes to end; this one does when the last write is done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with(parent)
    yield_to_queries(apart=True)
    try:
        mirror = QdrantEmbeddedMirror(folder, model_id)
    except StoryHashError as error:
        pipe.send((False, error))
        return
    with suppress(EOFError, OSError):
        pipe.send((True, None))
        while True:
            what, given = pipe.recv()
            pipe.send(_served(mirror, what, given))
    mirror.close()


def _served(mirror: QdrantEmbeddedMirror, what: str, given: tuple[Any, ...]) -> tuple[bool, Any]:
    try:
        return True, _do(mirror, what, given)
    except StoryHashError as error:
        return False, error
    except Exception as error:
        # The engine's own errors cannot all be sent, and what they mean nobody can tell.
        reason = " ".join(str(error).split())[:200]
        return False, CorruptIndexError(f"the mirror failed ({type(error).__name__}: {reason})")


def _do(mirror: QdrantEmbeddedMirror, what: str, given: tuple[Any, ...]) -> Any:
    if what == "delete_video":
        video_id, keep_version = given
        return mirror.delete_video(video_id, keep_version=keep_version)
    if what == "page":
        embeddings, offset = mirror.page(*given)
        return Columns.of(embeddings), offset
    if what == "videos":
        return list(mirror.videos())
    return getattr(mirror, what)(*given)
