"""The embedders of two profiles over the same segments: a clip is decoded once for both."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from common.types import Embedding, Segment
from embedder.stage import EmbedderStage, OpenedSegment
from storyhash.video_errors import SHARED

_log = logging.getLogger("storyhash.index")


@dataclass(frozen=True, slots=True)
class EmbeddedSegment:
    """A segment's embedding. second: that of the second profile; None if there is none."""

    embedding: Embedding
    second: Embedding | None = None


class SingleStage:
    """One profile."""

    def __init__(self, stage: EmbedderStage) -> None:
        self._stage = stage

    @property
    def segments_at_once(self) -> int:
        return self._stage.segments_at_once

    def process(self, segments: Sequence[Segment]) -> list[EmbeddedSegment]:
        """One result per segment, in order. Raises VideoError for a damaged clip."""
        return [EmbeddedSegment(embedding) for embedding in self._stage.process(segments)]


class PairedStage:
    """Two profiles. Optical flow is computed once, if both have it."""

    def __init__(self, stage: EmbedderStage, second: EmbedderStage) -> None:
        self._stage = stage
        self._second = second
        self._opens_once = stage.opens_like(second)

    @property
    def segments_at_once(self) -> int:
        return self._stage.segments_at_once

    def process(self, segments: Sequence[Segment]) -> list[EmbeddedSegment]:
        """One result per segment, in order.

        Raises VideoError for a damaged clip. An error of the second profile alone is logged, and its
        embeddings are missing.
        """
        results: list[EmbeddedSegment] = []
        for group in self._stage.opened(segments):
            first = self._stage.embed(group)
            results += map(EmbeddedSegment, first, self._of_second(group))
            # Or its pictures would stay while those of the next group come in.
            group.clear()
        return results

    def _of_second(self, group: Sequence[OpenedSegment]) -> Sequence[Embedding | None]:
        try:
            if self._opens_once:
                return self._second.embed(group)
            return self._second.process([segment for segment, _, _ in group])
        except SHARED:
            raise
        except Exception as error:
            _log.warning(
                "the second profile could not embed %d segments (%s); their videos are decoded again for "
                "it",
                len(group),
                error,
            )
            return [None] * len(group)
