"""A catalogue of random vectors, with eight frame codes per segment, as real segments have."""

from __future__ import annotations

import numpy as np

from common.types import FRAME_CODE_SIZE, GRAPH_DIMENSION, VECTOR_DIMENSION, Embedding, SegmentRef
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from searcher.storage.data_dir import FolderManifest
from searcher.storage.video import Video
from tests.support.embeddings import MODEL_ID

PER_VIDEO = 20
MANIFEST = FolderManifest("bench", MODEL_ID)
_VIDEOS_AT_ONCE, _FRAME_CODES = 50, 8


def _video(rng: np.random.Generator, number: int) -> CompleteVideo:
    name = f"video-{number:06d}"
    vectors = rng.normal(size=(PER_VIDEO, VECTOR_DIMENSION)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    graph = np.zeros(GRAPH_DIMENSION, dtype=np.float32)
    codes = rng.integers(-127, 127, (PER_VIDEO, _FRAME_CODES, FRAME_CODE_SIZE), dtype=np.int8)
    embeddings = [
        Embedding(
            ref=SegmentRef(name, 4.0 * at, 4.0 * at + 4.0, 1, "default"),
            vector=vectors[at],
            graph=graph,
            informative=True,
            model_id=MODEL_ID,
            frames=codes[at],
        )
        for at in range(PER_VIDEO)
    ]
    return CompleteVideo(Video(name, f"/{name}", version=1, duration_seconds=80.0), embeddings)


def fill(index: LocalIndex, segments: int, start: int = 0) -> None:
    """Add videos of twenty segments each, until there are `segments`; `start` of them are there."""
    rng = np.random.default_rng([7, start])
    videos = segments // PER_VIDEO
    for first in range(start // PER_VIDEO, videos, _VIDEOS_AT_ONCE):
        here = range(first, min(videos, first + _VIDEOS_AT_ONCE))
        index.apply(Change(whole=[_video(rng, number) for number in here]))
