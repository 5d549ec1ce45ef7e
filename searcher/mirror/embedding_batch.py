"""A batch of embeddings as a few large arrays: hundreds of small objects take ten times as long to send
and to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from common.types import (
    GRAPH_DIMENSION,
    NO_FRAMES,
    VECTOR_DIMENSION,
    Embedding,
    Float32Array,
    Int8Array,
    SegmentRef,
)

# The fields of a SegmentRef, in its order.
_Place: TypeAlias = tuple[str, float, float, int, str]


@dataclass(frozen=True, slots=True)
class Columns:
    """n embeddings. vectors: float32 (n, 527). graphs: float32 (n, 8). frames: int8 (m, 64), of one after
    the other, of which each has `frame_counts`."""

    places: list[_Place]
    vectors: Float32Array
    graphs: Float32Array
    informative: list[bool]
    model_ids: list[str]
    frames: Int8Array
    frame_counts: list[int]

    @classmethod
    def of(cls, embeddings: Sequence[Embedding]) -> Columns:
        """The columns of a list of embeddings."""
        refs = [one.ref for one in embeddings]
        vectors = np.empty((len(refs), VECTOR_DIMENSION), dtype=np.float32)
        graphs = np.empty((len(refs), GRAPH_DIMENSION), dtype=np.float32)
        for row, one in enumerate(embeddings):
            vectors[row], graphs[row] = one.vector, one.graph
        return cls(
            [(r.video_id, r.start_seconds, r.end_seconds, r.version, r.bank) for r in refs],
            vectors,
            graphs,
            [one.informative for one in embeddings],
            [one.model_id for one in embeddings],
            np.concatenate([NO_FRAMES, *(one.frames for one in embeddings)]),
            [len(one.frames) for one in embeddings],
        )

    @property
    def refs(self) -> list[SegmentRef]:
        """The segments of the embeddings."""
        return [SegmentRef(*place) for place in self.places]

    def frames_of_each(self) -> list[Int8Array]:
        """int8 (T, 64) of each."""
        ends = np.cumsum(self.frame_counts, dtype=np.int64)
        return np.split(self.frames, ends[:-1]) if self.frame_counts else []

    def embeddings(self) -> list[Embedding]:
        """The embeddings as a list again."""
        frames = self.frames_of_each()
        return [
            Embedding(
                ref,
                self.vectors[row],
                self.graphs[row],
                self.informative[row],
                self.model_ids[row],
                frames[row],
            )
            for row, ref in enumerate(self.refs)
        ]
