"""Embeddings as few large things: hundreds of small ones take ten times as long to send and to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from common.types import (
    GRAPH_DIMENSION,
    VECTOR_DIMENSION,
    Embedding,
    Float32Array,
    SegmentRef,
)

# The fields of a SegmentRef, in its order.
_Place: TypeAlias = tuple[str, float, float, int, str]


@dataclass(frozen=True, slots=True)
class Columns:
    """n embeddings. vectors: float32 (n, 527). graphs: float32 (n, 8)."""

    places: list[_Place]
    vectors: Float32Array
    graphs: Float32Array
    informative: list[bool]
    model_ids: list[str]

    @classmethod
    def of(cls, embeddings: Sequence[Embedding]) -> Columns:
        """Those of embeddings."""
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
        )

    @property
    def refs(self) -> list[SegmentRef]:
        """Which segments they are of."""
        return [SegmentRef(*place) for place in self.places]

    def embeddings(self) -> list[Embedding]:
        """One by one again."""
        return [
            Embedding(
                ref, self.vectors[row], self.graphs[row], self.informative[row], self.model_ids[row]
            )
            for row, ref in enumerate(self.refs)
        ]
