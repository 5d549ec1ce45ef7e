"""The steps that extract features: of each segment, and then the rows of a whole video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from common.types import (
    ACTION_DIMENSION,
    GRAPH_DIMENSION,
    VISUAL_DIMENSION,
    BoolArray,
    Float32Array,
    Float64Array,
    Segment,
    Tracks,
)
from embedder.action import ACTION_VERSION, action_features
from embedder.clip_opening import ClipOpener
from embedder.encoders import ClipStep, MotionStep, PictureStep, StageClock
from embedder.scene_graph import scene_graph


@dataclass(frozen=True, slots=True)
class SegmentFeature:
    """The features of one segment. values: float32 (n, width), one row per frame or one for the segment;
    informative: bool (n,). quality: of its tracks, 0 to 1; 1 where nothing is tracked."""

    values: Float32Array
    informative: BoolArray
    seconds: float
    quality: float = 1.0


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """values: float32 (rows, width). informative: bool (rows,). quality: float64 (rows,), 0 to 1."""

    values: Float32Array
    informative: BoolArray
    quality: Float64Array


class Step(Protocol):
    """Extracts one kind of features of the paper."""

    kind: str
    width: int
    units: str

    @property
    def backend(self) -> str:
        """The name of the visual backend or tracker, as in a profile."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identifies everything that its numbers depend on."""
        ...

    @property
    def segments_at_once(self) -> int:
        """Best number of segments per call of `describe`."""
        ...

    def describe(self, segments: Sequence[Segment]) -> list[SegmentFeature]:
        """The features of each segment. Raises VideoError."""
        ...

    def rows(self, pieces: Sequence[SegmentFeature], *, whole: bool) -> FeatureRows:
        """One row per segment of a video; with `whole` one row for the whole video."""
        ...


class VisualStep:
    """The visual features, 512 numbers."""

    kind, width = "visual", VISUAL_DIMENSION
    units = "unit vector"

    def __init__(self, pictures: PictureStep, clock: StageClock, opener: ClipOpener) -> None:
        self._pictures = pictures
        self._clips = ClipStep(opener, clock, pictures, None)

    @property
    def backend(self) -> str:
        return self._pictures.visual.name

    @property
    def fingerprint(self) -> str:
        return self._pictures.visual.fingerprint

    @property
    def segments_at_once(self) -> int:
        return self._pictures.segments_at_once

    def describe(self, segments: Sequence[Segment]) -> list[SegmentFeature]:
        """See `Step.describe`; one row per frame."""
        sampled = [clip.need_sampled for clip in self._clips.open(segments)]
        described = self._pictures.describe(sampled)
        return [
            SegmentFeature(rows, frames.informative, _seconds(segment))
            for rows, frames, segment in zip(described, sampled, segments, strict=True)
        ]

    def rows(self, pieces: Sequence[SegmentFeature], *, whole: bool) -> FeatureRows:
        """See `Step.rows`; a whole video is pooled over all its frames."""
        frames = [(row.values, row.informative) for row in pieces]
        if whole:
            values, informative_frames = zip(*frames, strict=True)
            frames = [(np.concatenate(values), np.concatenate(informative_frames))]
        pooled = [
            self._pictures.pool(values, informative_frames) for values, informative_frames in frames
        ]
        filled = [np.zeros(self.width, np.float32) if row is None else row for row in pooled]
        informative = np.array([row is not None for row in pooled])
        return FeatureRows(np.stack(filled), informative, np.ones(len(filled)))


@dataclass(frozen=True, slots=True)
class TrackFeature:
    """A kind of features of tracks. turn: from tracks to float32 (width,)."""

    kind: str
    width: int
    units: str
    turn: Callable[[Tracks], Float32Array]


ACTION = TrackFeature(
    "action",
    ACTION_DIMENSION,
    f"standard deviations, {ACTION_VERSION}: speed, acceleration, turning, spread, closeness",
    action_features,
)
GRAPH = TrackFeature(
    "graph",
    GRAPH_DIMENSION,
    "shares: left, right, above, below of moments; before, after, overlap, during of pairs",
    scene_graph,
)


class TrackStep:
    """Features of tracks. The row of a whole video is the mean of its segments, weighted by length. Every
    row is informative, because a segment in which nothing moves has features too."""

    segments_at_once = 1

    def __init__(
        self, feature: TrackFeature, motion: MotionStep, clock: StageClock, opener: ClipOpener
    ) -> None:
        self.kind, self.width, self.units = feature.kind, feature.width, feature.units
        self._turn = feature.turn
        self._motion = motion
        self._clips = ClipStep(opener, clock, None, motion)

    @property
    def backend(self) -> str:
        return self._motion.tracker.name

    @property
    def fingerprint(self) -> str:
        return self._motion.tracker.fingerprint

    def describe(self, segments: Sequence[Segment]) -> list[SegmentFeature]:
        """See `Step.describe`; one row per segment."""
        pieces = []
        for segment, opened in zip(segments, self._clips.open(segments), strict=True):
            tracks = opened.need_tracks
            values = self._turn(tracks)[None]
            pieces.append(
                SegmentFeature(values, np.ones(1, dtype=bool), _seconds(segment), tracks.quality)
            )
        return pieces

    def rows(self, pieces: Sequence[SegmentFeature], *, whole: bool) -> FeatureRows:
        """See `Step.rows`."""
        values = np.concatenate([piece.values for piece in pieces])
        quality = np.array([piece.quality for piece in pieces])
        if whole:
            lengths = [piece.seconds for piece in pieces]
            values = np.average(values, axis=0, weights=lengths)[None].astype(np.float32)
            quality = np.average(quality, weights=lengths)[None]
        return FeatureRows(values, np.ones(len(values), dtype=bool), quality)


def _seconds(segment: Segment) -> float:
    return segment.ref.end_seconds - segment.ref.start_seconds
