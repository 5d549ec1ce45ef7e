"""Decodes queries for many threads, each query in a child process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.closeable import Closeable
from common.settings import IngestSettings, VideoSettings
from common.spool import DecodedVideo, SegmentSpool
from common.types import CatalogEntry, Segment
from common.uris import absolute
from ingest.decoder_codec import DecodedSegment
from ingest.decoder_process import open_decoders


class QueryDecoder(Closeable):
    """Decodes one query per child at a time; other callers wait. Thread-safe."""

    def __init__(
        self, video: VideoSettings, ingest: IngestSettings, workers: int | None = None
    ) -> None:
        """workers: number of children; default: from the settings."""
        self._decoders = open_decoders(video, ingest, workers)
        self.workers = len(self._decoders)

    def close(self) -> None:
        """Kill the children."""
        self._decoders.close()

    def decode(
        self,
        source: Path | str,
        cancellation: Cancellation = NEVER_CANCELLED,
        on_segment: Callable[[Segment], None] = lambda segment: None,
    ) -> DecodedVideo:
        """Decode a file, a folder of pictures or a URL.

        on_segment: called with each segment as soon as it is stored.

        Raises VideoError and its subclasses, StorageError, and CancelledError, which kills the child
        even if it hangs.
        """
        query = CatalogEntry("query", absolute(str(source)))
        segments = SegmentSpool()
        duration_seconds, damaged = 0.0, ""
        try:
            with (
                self._decoders.borrow(cancellation) as decoder,
                closing(decoder.run(query.uri, cancellation.check)) as results,
            ):
                for result in results:
                    if isinstance(result, DecodedSegment):
                        segment = result.of(query, 1)
                        segments.add(segment)
                        on_segment(segment)
                    else:
                        duration_seconds, damaged = result.duration_seconds, result.damaged or ""
        except BaseException:
            segments.close()
            raise
        return DecodedVideo(segments, duration_seconds, damaged)
