"""Decodes a video in a child process without network; another child first fetches a URL."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from functools import partial

from common.closeable import Closeable
from common.runtime_tuning import usable_cores
from common.sandbox.limits import Check, ChildLimits
from common.sandbox.pool import ChildPool
from common.sandbox.process import Child
from common.settings import IngestSettings, VideoSettings
from common.uris import is_remote
from ingest.decoder_codec import Produced, in_order, piece_codec
from ingest.decoder_work import decode_pieces
from ingest.fetcher import DownloadFolder, Fetcher


class DecoderProcess(Closeable):
    """A child that decodes without network, and a child that only fetches."""

    def __init__(self, video: VideoSettings, ingest: IngestSettings) -> None:
        work = partial(decode_pieces, video, ingest)
        self._child = Child(work, ChildLimits.for_video(video), piece_codec(video))
        self._downloads = DownloadFolder(ingest)
        self._fetcher = Fetcher(ingest, self._downloads, video.start_seconds)

    def run(self, uri: str, check: Check) -> Generator[Produced, None, None]:
        """Decode a file, a folder of pictures or a URL: its segments, then a `ProducedVideo`.

        check: see `Child.run`. Raises VideoError and its subclasses, StorageError, and errors of
        `check`.
        """
        with ExitStack() as stack:
            path = stack.enter_context(self._fetcher.fetched(uri, check)) if is_remote(uri) else uri
            # Ends an unfinished run before its file is deleted.
            yield from in_order(stack.enter_context(closing(self._child.run(str(path), check))))

    def close(self) -> None:
        """Kill both; delete what was fetched."""
        self._fetcher.close()
        self._child.close()
        self._downloads.close()


def open_decoders(
    video: VideoSettings, ingest: IngestSettings, count: int | None = None
) -> ChildPool[DecoderProcess]:
    """count: by default as many as the settings say."""
    return ChildPool(
        DecoderProcess(video, ingest) for _ in range(count or ingest.workers or usable_cores())
    )
