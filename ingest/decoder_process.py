"""A video decoded in a child process without a network; an address is first fetched by another child."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, closing
from functools import partial

from common.runtime_tuning import usable_cores
from common.sandbox.pool import ChildPool
from common.sandbox.process import Check, Child, ChildLimits
from common.settings import IngestSettings, VideoSettings
from common.uris import is_remote
from ingest.decoder_codec import Produced, in_order, piece_codec
from ingest.decoder_work import decode_pieces
from ingest.fetcher import DownloadFolder, Fetcher


class DecoderProcess:
    """A child that decodes and has no network, and one that fetches for it and decodes nothing."""

    def __init__(self, video: VideoSettings, ingest: IngestSettings) -> None:
        work = partial(decode_pieces, video, ingest)
        self._child = Child(work, ChildLimits.for_video(video), piece_codec(video))
        self._downloads = DownloadFolder(ingest)
        self._fetcher = Fetcher(ingest, self._downloads, video.start_seconds)

    @property
    def pid(self) -> int | None:
        """The process that decodes, if there is one."""
        return self._child.pid

    def run(self, uri: str, check: Check) -> Generator[Produced, None, None]:
        """Decode a file, a folder of pictures or an address: its segments, then what became of it.

        check: as in `Child.run`. Raises VideoError and its kin, StorageError, what `check` raises.
        """
        with ExitStack() as stack:
            path = stack.enter_context(self._fetcher.fetched(uri, check)) if is_remote(uri) else uri
            # Closed here, a run that is left half-way is over before its file is deleted.
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
