"""A query that is decoded once and embedded in as many passes as needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Self

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.spool import DecodedVideo, SegmentSpool
from common.types import Float32Array, PassName, QueryEmbedding
from embedder.query.embedder import WINDOW_SECONDS, QueryEmbedder, windows_of
from embedder.query.features import QueryFeatures
from embedder.query.passes import PASSES
from embedder.query.pieces import Piece, pieces_of


class QuerySession:
    """One decoded query; its clips are on disk until it is closed. Thread-safe.

    The action features of a segment are computed in the first pass that needs them and kept: about 100
    bytes per segment.
    """

    def __init__(self, embedder: QueryEmbedder, name: str, video: DecodedVideo) -> None:
        """name: the `uri` of the embeddings."""
        self._embedder = embedder
        self.name = name
        self._video = video
        self._actions: dict[float, Float32Array] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def segments(self) -> SegmentSpool:
        """Its clips, until it is closed."""
        return self._video.segments

    @property
    def size_bytes(self) -> int:
        """Of its clips on disk."""
        return self._video.segments.size_bytes

    def pieces(
        self, pass_name: PassName, cancellation: Cancellation = NEVER_CANCELLED
    ) -> Iterator[QueryEmbedding]:
        """The pieces of the query in one pass; one piece for all but long queries.

        Raises VideoError for a damaged clip, ValueError without segments, and CancelledError.
        """
        segments = self._video.segments
        if not len(segments):
            raise ValueError("segments: expected at least one, got none")
        seconds = max(self._video.duration_seconds, segments.end_seconds)
        for piece in pieces_of(seconds):
            features = self._features(seconds, pass_name, piece, cancellation)
            yield replace(
                windows_of(
                    self.name,
                    self._embedder.model_id,
                    features,
                    self._embedder.pooling,
                    piece=piece,
                ),
                damaged=self._video.damaged,
            )

    def features(self, pass_name: PassName) -> QueryFeatures:
        """The frames of the whole query through every view of one pass. Raises as `pieces` does."""
        return self._embedder.see(
            self._video.duration_seconds,
            self._video.segments.between(0.0, float("inf")),
            PASSES[pass_name],
            actions=self._actions,
        )

    def close(self) -> None:
        """Give the space on disk back."""
        self._video.close()

    def _features(
        self, seconds: float, pass_name: PassName, piece: Piece, cancellation: Cancellation
    ) -> QueryFeatures:
        reach_seconds = piece.end_seconds + max(WINDOW_SECONDS)
        return self._embedder.see(
            seconds,
            self._video.segments.between(piece.start_seconds, reach_seconds),
            PASSES[pass_name],
            piece.seconds,
            actions=self._actions,
            cancellation=cancellation,
        )
