"""Distractors: segments that make the catalogue larger and are no copy of any query.

They are made of cached features, so no picture is embedded for them. Two kinds, in this order:

- `real`: the regions and the rotated and inverted views of the unedited videos. These are embeddings of
  real pictures, but of no more different contents than the folder has.
- `mixed`: further sequences like them, drawn with the smoothed bootstrap (B. W. Silverman, "Density
  Estimation", 1986, 6.4.1, with the variance kept): u = unit(m + sqrt(1 - h^2) (a - m) + h C^(1/2) z). a
  are the segments of a real sequence, m and C the mean and the covariance of all of them, z is normal and
  the same for a whole sequence, and h = 0.7. So they have the mean and the covariance of real segments,
  and their groups.

A distractor belongs to the family of the video it was made of. Queries of that family, of its look-alikes
and with a part of it do not search it, since it shows what they show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from common.errors import UsageError
from common.types import NO_FRAMES, VISUAL_DIMENSION, Float32Array, SegmentRef
from embedder.fusion import FusionMode, fuse
from embedder.normalise import unit
from embedder.pooling import Pooling, pool_windows
from embedder.query.features import QueryFeatures
from evaluation.data.datasets import DatasetVideo
from searcher.index.state import VideoSegments

PREFIX = "distractors/"
"""How the ids of distractors begin."""
MAX_DISTRACTORS = 200_000
"""About 0.5 GB of memory in each worker process."""
_SEED, _SMOOTHING, _DRAWN_AT_ONCE = 20, 0.7, 256


@dataclass(frozen=True, slots=True)
class Distractor:
    """A video of distractor segments. source: the video it was made of."""

    source: DatasetVideo
    segments: VideoSegments

    @property
    def video_id(self) -> str:
        return self.segments.refs[0].video_id


@dataclass(frozen=True, slots=True)
class _Sequence:
    """Consecutive segments of one video through one view. visual: float32 (S, 512), unit rows. actions:
    float32 (S, 15)."""

    source: DatasetVideo
    visual: Float32Array
    actions: Float32Array
    spans: tuple[tuple[float, float], ...]


def make_distractors(
    count: int,
    videos: Sequence[DatasetVideo],
    originals: Mapping[str, QueryFeatures],
    pooling: Pooling,
    fusion: FusionMode = "storyhash",
) -> Iterator[Distractor]:
    """Distractor videos with `count` segments together; the same in every run, and a larger number adds
    to them. originals: the features of each unedited video. Raises UsageError if no view is usable, or
    for more than MAX_DISTRACTORS."""
    if count > MAX_DISTRACTORS:
        raise UsageError(f"distractors: expected at most {MAX_DISTRACTORS:,}, got {count:,}")
    real = [
        sequence
        for video in videos
        for sequence in _sequences(video, originals[video.video_id], pooling)
    ]
    if not real:
        raise UsageError("distractors: no view of the videos is usable; take other videos")
    np.random.default_rng(_SEED).shuffle(real)
    left = count
    for number, sequence in enumerate(_endless(real)):
        if left <= 0:
            return
        size = min(left, len(sequence.visual))
        left -= size
        kind = "real" if number < len(real) else "mixed"
        name = f"{PREFIX}{kind}/{number:06d}"
        yield Distractor(
            sequence.source,
            VideoSegments(
                [SegmentRef(name, start, end) for start, end in sequence.spans[:size]],
                fuse(sequence.visual[:size], sequence.actions[:size], fusion),
                [NO_FRAMES] * size,
            ),
        )


def _sequences(
    video: DatasetVideo, features: QueryFeatures, pooling: Pooling
) -> Iterator[_Sequence]:
    starts, ends = features.spans[:, 0], features.spans[:, 1]
    for view in features.views:
        if view.name == "identity":
            continue
        visual, informative = pool_windows(
            view.rows, view.informative, view.pts_seconds, starts, ends, pooling
        )
        if informative.any():
            yield _Sequence(
                video,
                visual[informative],
                features.actions[informative],
                tuple(map(tuple, features.spans[informative].tolist())),
            )


def _endless(real: Sequence[_Sequence]) -> Iterator[_Sequence]:
    """The real sequences, then mixed ones."""
    yield from real
    rng = np.random.default_rng(_SEED + 1)
    rows = np.concatenate([sequence.visual for sequence in real]).astype(np.float64)
    mean = rows.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(rows - mean, rowvar=False))
    spread = vectors * np.sqrt(np.maximum(values, 0.0))
    while True:
        bases = rng.integers(len(real), size=_DRAWN_AT_ONCE).tolist()
        aways = rng.normal(size=(_DRAWN_AT_ONCE, VISUAL_DIMENSION)) @ spread.T
        for number, away in zip(bases, aways, strict=True):
            base = real[number]
            drawn = mean + np.sqrt(1 - _SMOOTHING**2) * (base.visual - mean) + _SMOOTHING * away
            yield _Sequence(base.source, unit(drawn.astype(np.float32)), base.actions, base.spans)
