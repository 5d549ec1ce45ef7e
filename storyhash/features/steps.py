"""What one video gives to one step: rows for each of its segments, or one for the whole of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from common.types import (
    ACTION_DIMENSION,
    GRAPH_DIMENSION,
    VISUAL_DIMENSION,
    BoolArray,
    Float32Array,
    Segment,
    Tracks,
)
from embedder.action import ACTION_VERSION, action_features
from embedder.graph import scene_graph
from embedder.steps import MotionStep, PictureStep, SampledFrames, StageClock, decode_segment


class Step(Protocol):
    """One feature of the paper."""

    kind: str
    width: int
    units: str

    @property
    def backend(self) -> str:
        """As in a profile."""
        ...

    @property
    def fingerprint(self) -> str:
        """All that decides its numbers."""
        ...

    def describe(
        self, segments: Sequence[Segment], *, whole: bool
    ) -> tuple[Float32Array, BoolArray]:
        """Values, float32 (rows, width), and informative, bool (rows,), of a video's segments.

        A row a segment; with `whole` one row for all of them. Raises VideoError.
        """
        ...


class VisualStep:
    """512 numbers: what is shown."""

    kind, width = "visual", VISUAL_DIMENSION
    units = "unit vector"

    def __init__(self, pictures: PictureStep, clock: StageClock) -> None:
        self._pictures = pictures
        self._clock = clock

    @property
    def backend(self) -> str:
        return self._pictures.visual.name

    @property
    def fingerprint(self) -> str:
        return self._pictures.visual.fingerprint

    def describe(
        self, segments: Sequence[Segment], *, whole: bool
    ) -> tuple[Float32Array, BoolArray]:
        """See `Step.describe`; whole videos are pooled over all their frames."""
        rows: list[Float32Array] = []
        usable: list[BoolArray] = []
        size = self._pictures.segments_at_once
        for start in range(0, len(segments), size):
            sampled = [self._sample(segment) for segment in segments[start : start + size]]
            rows += self._pictures.describe(sampled, reference=True)
            usable += [one.informative for one in sampled]
        if whole:
            rows, usable = [np.concatenate(rows)], [np.concatenate(usable)]
        pooled = [self._pictures.pool(*one) for one in zip(rows, usable, strict=True)]
        values = [np.zeros(self.width, np.float32) if one is None else one for one in pooled]
        return np.stack(values), np.array([one is not None for one in pooled])

    def _sample(self, segment: Segment) -> SampledFrames:
        return self._pictures.sample(decode_segment(segment, self._clock))


class _TrackStep:
    """What tracks are turned into; whole videos take the mean of their segments, by their length."""

    kind: str
    width: int

    def __init__(self, motion: MotionStep, clock: StageClock) -> None:
        self._motion = motion
        self._clock = clock

    @property
    def backend(self) -> str:
        return self._motion.tracker.name

    @property
    def fingerprint(self) -> str:
        return self._motion.tracker.fingerprint

    def turn(self, tracks: Tracks) -> Float32Array:
        raise NotImplementedError

    def describe(
        self, segments: Sequence[Segment], *, whole: bool
    ) -> tuple[Float32Array, BoolArray]:
        """See `Step.describe`; every row is informative: that nothing moves is told too."""
        values = np.stack(
            [self.turn(self._motion.follow(decode_segment(one, self._clock))) for one in segments]
        )
        if whole:
            lengths = [one.ref.end_seconds - one.ref.start_seconds for one in segments]
            values = np.average(values, axis=0, weights=lengths)[None].astype(np.float32)
        return values, np.ones(len(values), dtype=bool)


class ActionStep(_TrackStep):
    """15 numbers: how things move."""

    kind, width = "action", ACTION_DIMENSION
    units = (
        f"standard deviations, {ACTION_VERSION}: speed, acceleration, turning, spread, closeness"
    )

    def turn(self, tracks: Tracks) -> Float32Array:
        return action_features(tracks)


class GraphStep(_TrackStep):
    """8 numbers: where things are to each other, and when."""

    kind, width = "graph", GRAPH_DIMENSION
    units = "shares: left, right, above, below of moments; before, after, overlap, during of pairs"

    def turn(self, tracks: Tracks) -> Float32Array:
        return scene_graph(tracks)


def short_id(name: str, *parts: str) -> str:
    """A name and a digest of all that decides the numbers."""
    return f"{name}-{hashlib.blake2b(chr(10).join(parts).encode(), digest_size=6).hexdigest()}"
