"""A video of the catalogue as a query against the rest of it."""

from __future__ import annotations

import numpy as np

from common.types import VECTOR_DIMENSION, QueryEmbedding
from common.uris import public_uri
from searcher.state import VideoSegments
from searcher.videos import Video


def known_query(video: Video, segments: VideoSegments, model_id: str) -> QueryEmbedding:
    """The indexed segments of a video as the windows of a query, seen through no view but identity.

    Search with `Filter(exclude_video=video.video_id)`, or it finds itself. A video without a segment
    gives a query without a window, which matches nothing.
    """
    refs = segments.refs
    seen = segments.vectors.reshape(1, len(refs), VECTOR_DIMENSION)
    return QueryEmbedding(
        uri=public_uri(video.uri),
        duration_seconds=max([video.duration_seconds, *(ref.end_seconds for ref in refs)]),
        model_id=model_id,
        views=("identity",),
        window_start_seconds=np.array([ref.start_seconds for ref in refs], dtype=np.float64),
        window_end_seconds=np.array([ref.end_seconds for ref in refs], dtype=np.float64),
        vectors=seen,
        informative=np.linalg.norm(seen, axis=2) > 0.5,
    )
