"""The work of a decoder process. It imports only what it needs, because each process start pays for
it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from common.sandbox.process import Beat
from common.settings import IngestSettings, VideoSettings
from common.types import CatalogEntry, Segment
from ingest.clip_packer import produce
from ingest.decoder_codec import DecodedSegment, Produced


def decode_pieces(
    video: VideoSettings, ingest: IngestSettings, path: str, beat: Beat
) -> Iterator[Produced]:
    """The segments of one video file or folder of pictures, without the identity of the video.

    Raises VideoError and its subclasses.
    """
    for piece in produce(CatalogEntry("video", path), Path(path), 1, video, ingest, beat):
        if isinstance(piece, Segment):
            yield DecodedSegment(piece.ref.start_seconds, piece.ref.end_seconds, piece.clip)
        else:
            yield piece
