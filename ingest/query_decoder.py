"""Queries decoded one by one, each in a child process of its own, for callers in many threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.errors import VideoError
from common.runtime_tuning import usable_cores
from common.settings import IngestSettings, VideoSettings
from common.spool import DecodedVideo, SegmentSpool
from common.types import CatalogEntry
from common.uris import absolute
from ingest.decoder_pool import DecoderPool, SegmentReady, VideoDone, VideoFailed

_TICK_SECONDS = 0.2


class QueryDecoder:
    """Decodes as many queries at once as it has children; further callers wait. Thread-safe.

    A child starts when it is first needed.
    """

    def __init__(
        self, video: VideoSettings, ingest: IngestSettings, workers: int | None = None
    ) -> None:
        """workers: how many children; by default as many as the settings say."""
        self.workers = workers or ingest.workers or usable_cores()
        one = ingest.model_copy(update={"workers": 1})
        self._pools = [DecoderPool(video, one) for _ in range(self.workers)]
        # The last used comes first: its child has started already.
        self._idle: queue.LifoQueue[DecoderPool] = queue.LifoQueue()
        for pool in reversed(self._pools):
            self._idle.put(pool)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill the children."""
        for pool in self._pools:
            pool.close()

    def decode(
        self, source: Path | str, cancellation: Cancellation = NEVER_CANCELLED
    ) -> DecodedVideo:
        """Decode a file, a folder of pictures or an address.

        Raises VideoError and its kin, StorageError, and CancelledError: the child is killed then, even
        where it hangs.
        """
        segments = SegmentSpool()
        try:
            with self._pool(cancellation) as pool:
                done = _decode(pool, source, segments, cancellation)
        except BaseException:
            segments.close()
            raise
        return DecodedVideo(segments, done.duration_seconds, done.damaged or "")

    @contextmanager
    def _pool(self, cancellation: Cancellation) -> Iterator[DecoderPool]:
        pool = None
        while pool is None:
            cancellation.check()
            try:
                pool = self._idle.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
        try:
            yield pool
        finally:
            self._idle.put(pool)


def _decode(
    pool: DecoderPool, source: Path | str, segments: SegmentSpool, cancellation: Cancellation
) -> VideoDone:
    stopping = threading.Event()
    work = [(CatalogEntry("query", absolute(str(source))), 1)]

    def check() -> None:
        if cancellation.cancelled:
            # A child that is in the middle of something is killed.
            stopping.set()

    with closing(pool.run(work, stopping, check)) as events:
        for event in events:
            check()
            cancellation.check()
            if isinstance(event, SegmentReady):
                segments.add(event.segment)
            elif isinstance(event, VideoFailed):
                raise event.error
            else:
                return event
    cancellation.check()
    raise VideoError("decoding ended before the end of the query")
