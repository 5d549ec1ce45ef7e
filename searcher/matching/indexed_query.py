"""Makes a query from an indexed video, to compare it with the rest of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from common.types import VECTOR_DIMENSION, QueryEmbedding
from common.uris import public_uri
from searcher.index.state import VideoSegments
from searcher.storage.video import Video

# Longer videos are matched in pieces of at most this many segments: one hour, one window per segment.
PIECE_SEGMENTS = 900


def indexed_query_pieces(
    video: Video, segments: VideoSegments, model_id: str
) -> Iterator[tuple[QueryEmbedding, VideoSegments]]:
    """An indexed video as a query: one piece, or several of similar length for a long video, each with
    its segments.

    Search with `Filter(exclude_videos={video.video_id})`, otherwise the video finds itself. A video
    without segments gives one piece without windows, which matches nothing.
    """
    count = len(segments.refs)
    seconds = max([video.duration_seconds, *(ref.end_seconds for ref in segments.refs)])
    pieces = max(1, -(-count // PIECE_SEGMENTS))
    cuts = [number * count // pieces for number in range(pieces + 1)]
    for number in range(pieces):
        some = slice(cuts[number], cuts[number + 1])
        of_piece = VideoSegments(segments.refs[some], segments.vectors[some], segments.frames[some])
        yield _query(video, of_piece, model_id, seconds, (number + 1, pieces)), of_piece


def _query(
    video: Video,
    segments: VideoSegments,
    model_id: str,
    duration_seconds: float,
    piece: tuple[int, int],
) -> QueryEmbedding:
    """The indexed segments of a video as the windows of a query, with the identity view only."""
    refs = segments.refs
    seen = segments.vectors.reshape(1, len(refs), VECTOR_DIMENSION)
    return QueryEmbedding(
        uri=public_uri(video.uri),
        duration_seconds=duration_seconds,
        model_id=model_id,
        views=("identity",),
        window_start_seconds=np.array([ref.start_seconds for ref in refs], dtype=np.float64),
        window_end_seconds=np.array([ref.end_seconds for ref in refs], dtype=np.float64),
        vectors=seen,
        informative=np.linalg.norm(seen, axis=2) > 0.5,
        number=piece[0],
        pieces=piece[1],
    )
