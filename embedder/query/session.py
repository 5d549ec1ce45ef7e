"""A query that is decoded once and embedded in as many passes as needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self, TypeAlias

from common.cancellation import NEVER_CANCELLED, Cancellation
from common.closeable import Closeable
from common.spool import DecodedVideo, SegmentSpool
from common.types import EVERYWHERE, PassName, QueryEmbedding, Segment, TimeSpans
from embedder.query.embedder import WINDOW_SECONDS, QueryEmbedder, windows_of
from embedder.query.features import QueryFeatures
from embedder.query.first_pass_ahead import FirstPassAhead
from embedder.query.passes import PASSES, seconds_in
from embedder.query.pieces import Piece, pieces_of

Decode: TypeAlias = Callable[[Callable[[Segment], None]], DecodedVideo]
"""Decodes a video, and calls a function with each segment as soon as it is there."""


class QuerySession(Closeable):
    """One decoded query; its clips are on disk until it is closed. Thread-safe.

    The action features of a segment are computed in the first pass that needs them and kept: about 100
    bytes per segment. The first pass over the first ten minutes is made while the query is decoded.
    """

    def __init__(
        self,
        embedder: QueryEmbedder,
        name: str,
        video: DecodedVideo,
        ahead: FirstPassAhead | None = None,
    ) -> None:
        """name: the `uri` of the embeddings. ahead: has made a part of the first pass."""
        self._embedder = embedder
        self.name = name
        self._video = video
        self._ahead = ahead or FirstPassAhead(embedder)
        self._actions = self._ahead.actions

    @classmethod
    def decoding(
        cls,
        embedder: QueryEmbedder,
        name: str,
        decode: Decode,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Self:
        """Decode a query; each segment is embedded for the first pass while the next ones are decoded.

        Raises the errors of `decode`, and CancelledError. An error of a segment is raised by its pass.
        """
        ahead = FirstPassAhead(embedder)
        video: DecodedVideo | None = None
        try:
            video = decode(ahead.add)
            ahead.finish(cancellation)
        except BaseException:
            ahead.close()
            if video is not None:
                video.close()
            raise
        return cls(embedder, name, video, ahead)

    def seen_by(self, embedder: QueryEmbedder) -> QuerySession:
        """A session of another embedder for the same decoded query. It ends with this one, and need not
        be closed."""
        same_tracks = embedder.tracker == self._embedder.tracker
        ahead = FirstPassAhead(embedder, self._actions if same_tracks else None)
        return QuerySession(embedder, self.name, self._video, ahead)

    @property
    def segments(self) -> SegmentSpool:
        """Its clips, until it is closed."""
        return self._video.segments

    @property
    def duration_seconds(self) -> float:
        """Length of the video."""
        return self._video.duration_seconds

    @property
    def size_bytes(self) -> int:
        """Bytes of its clips on disk."""
        return self._video.segments.size_bytes

    def pieces(
        self,
        pass_name: PassName,
        within: TimeSpans = EVERYWHERE,
        cancellation: Cancellation = NEVER_CANCELLED,
    ) -> Iterator[QueryEmbedding]:
        """The pieces of the query in one pass; one piece for all but long queries. See `TakePass`.

        Raises VideoError for a damaged clip, ValueError without segments, and CancelledError.
        """
        segments = self._video.segments
        if not len(segments):
            raise ValueError("segments: expected at least one, got none")
        seconds = max(self._video.duration_seconds, segments.end_seconds)
        for piece in pieces_of(seconds):
            features = self._features(seconds, pass_name, within, piece, cancellation)
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
        self._ahead.close()
        self._video.close()

    def _features(
        self,
        seconds: float,
        pass_name: PassName,
        within: TimeSpans,
        piece: Piece,
        cancellation: Cancellation,
    ) -> QueryFeatures:
        span = piece.start_seconds, piece.end_seconds + max(WINDOW_SECONDS)
        query_pass = PASSES[pass_name]
        known = self._ahead.take(*span) if pass_name == "first" else []
        starts = {one.start_seconds for one in known}
        segments = self._video.segments.between(*span)
        return self._embedder.see(
            seconds,
            (segment for segment in segments if segment.ref.start_seconds not in starts),
            query_pass,
            seconds_in(within, piece.start_seconds, piece.end_seconds),
            actions=self._actions,
            known=known,
            within=within,
            cancellation=cancellation,
        )
