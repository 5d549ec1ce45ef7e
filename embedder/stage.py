"""The embedder stage: from segments to embeddings, without a transport."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np

from common.settings import ThumbnailSettings
from common.thumbnails import pack_thumbnails
from common.types import NO_FRAMES, VECTOR_DIMENSION, Embedding, Float32Array, Segment, Tracks
from embedder.action import action_features
from embedder.clip_opening import TRACK_STEP, ClipOpener, InProcessOpener, SampledFrames
from embedder.encoders import (
    VISUAL_STEP,
    ClipStep,
    DecodedClip,
    MotionStep,
    PictureStep,
    StageClock,
)
from embedder.fusion import FUSION_FINGERPRINT, fuse
from embedder.scene_graph import scene_graph
from embedder.segment_frame_codes import segment_frames
from embedder.thumbnails import make_thumbnails
from embedder.tracking.base import Tracker
from embedder.visual.base import VisualBackend
from embedder.weights.checksum import short_id

# Maximum bytes of pictures per batch; a single clip may exceed it.
BATCH_MIB = 256
_MIB = 1024 * 1024
OpenedSegment: TypeAlias = tuple[Segment, SampledFrames, Tracks]
"""A segment, its frames for the visual backend, and what moves in it."""


def model_id(profile: str, visual: str, tracker: str, sampling: str) -> str:
    """The id of everything that a vector depends on: fingerprints of weights and settings."""
    return short_id(profile, visual, tracker, FUSION_FINGERPRINT, sampling)


class EmbedderStage:
    """Turns segments into embeddings with one visual backend and one tracker.

    sampling: the settings of the clips (segment length, frame rate, size). With the fingerprints of the
    parts it makes `model_id`, so different kinds of vectors are never compared. `process` is
    thread-safe.
    """

    def __init__(
        self,
        profile: str,
        visual: VisualBackend,
        tracker: Tracker,
        *,
        sampling: str,
        opener: ClipOpener | None = None,
        thumbnails: ThumbnailSettings | None = None,
    ) -> None:
        """opener: opens the clips; default: in this process. thumbnails: those that embeddings of
        segments get; default: none."""
        self.profile = profile
        self._thumbnails = thumbnails or ThumbnailSettings()
        self.clock = StageClock()
        self.pictures = PictureStep(visual, self.clock)
        self.motion = MotionStep(tracker, self.clock)
        self._clips = ClipStep(opener or InProcessOpener(), self.clock, self.pictures, self.motion)
        self.model_id = model_id(profile, visual.fingerprint, tracker.fingerprint, sampling)

    @property
    def visual(self) -> VisualBackend:
        return self.pictures.visual

    @property
    def encoders(self) -> Mapping[str, str]:
        """The names of visual backend and tracker, by the clock's step."""
        return {VISUAL_STEP: self.visual.name, TRACK_STEP: self.motion.tracker.name}

    @property
    def segments_at_once(self) -> int:
        """Best number of segments per call of `process`."""
        return self.pictures.segments_at_once

    def process(self, segments: Sequence[Segment]) -> list[Embedding]:
        """One embedding per segment, in order; pictures are embedded in batches of up to BATCH_MIB.

        Raises VideoError for a damaged clip.
        """
        embeddings: list[Embedding] = []
        for group in self.opened(segments):
            embeddings += self.embed(group)
            # Frees the pictures before the next group is read.
            group.clear()
        return embeddings

    def opened(self, segments: Sequence[Segment]) -> Iterator[list[OpenedSegment]]:
        """The segments with their decoded clips, in groups of up to BATCH_MIB of pictures. Raises
        VideoError for a damaged clip."""
        return _groups(segments, self._clips.open(segments))

    def opens_like(self, other: EmbedderStage) -> bool:
        """Whether `opened` gives the same for both stages: they want the same frames and have the same
        tracker."""
        return (
            self.visual.frames_per_second == other.visual.frames_per_second
            and self.motion.tracker.fingerprint == other.motion.tracker.fingerprint
        )

    def embed(self, group: Sequence[OpenedSegment]) -> list[Embedding]:
        """One embedding per opened segment, in order. The pictures go to the backend together."""
        vectors = self.pictures.describe([sampled for _, sampled, _ in group])
        return [
            self._embed(segment, sampled, rows, tracks)
            for (segment, sampled, tracks), rows in zip(group, vectors, strict=True)
        ]

    def open(self, segment: Segment, *, tracks: bool = True) -> DecodedClip:
        """Decode a segment's clip once, for the visual backend and, with `tracks`, for the tracker.

        Raises VideoError.
        """
        (opened,) = self._clips.open([segment], tracks=tracks)
        return opened

    def _embed(
        self, segment: Segment, sampled: SampledFrames, rows: Float32Array, tracks: Tracks
    ) -> Embedding:
        visual = self.pictures.pool(rows, sampled.informative)
        if visual is None:
            vector, frames = np.zeros(VECTOR_DIMENSION, dtype=np.float32), NO_FRAMES
        else:
            vector = fuse(visual, action_features(tracks))
            span = segment.ref.start_seconds, segment.ref.end_seconds
            frames = segment_frames(
                rows, sampled.informative, sampled.pts_seconds, span, visual, self.visual.pooling
            )
        return Embedding(
            ref=segment.ref,
            vector=vector,
            graph=scene_graph(tracks),
            informative=visual is not None,
            model_id=self.model_id,
            frames=frames,
            thumbnails=self._pictures(sampled),
        )

    def _pictures(self, sampled: SampledFrames) -> bytes:
        if not self._thumbnails.enabled:
            return b""
        return pack_thumbnails(make_thumbnails(sampled, self._thumbnails))


def _groups(
    segments: Sequence[Segment], opened: Iterable[DecodedClip]
) -> Iterator[list[OpenedSegment]]:
    """Groups of segments with their decoded clips, bounded by the bytes of their pictures."""
    group: list[OpenedSegment] = []
    group_bytes = 0
    for segment, decoded in zip(segments, opened, strict=True):
        size = decoded.need_sampled.frames.nbytes
        if group and group_bytes + size > BATCH_MIB * _MIB:
            yield group
            group, group_bytes = [], 0
        group.append((segment, decoded.need_sampled, decoded.need_tracks))
        group_bytes += size
    if group:
        yield group
