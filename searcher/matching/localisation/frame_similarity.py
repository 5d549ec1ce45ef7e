"""Similarities of query frames to reference frames around a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.frame_codes import FRAME_SECONDS, CodedFrames, valid_frames
from common.types import NO_FRAMES, VISUAL_DIMENSION, BoolArray, Float32Array, Float64Array
from searcher.index.state import VideoSegments
from searcher.matching.alignment.run import Run
from searcher.matching.query_windows import QueryWindows

HALF_FRAME_SECONDS = FRAME_SECONDS / 2
# A longer window is not a frame. Frames further apart are too coarse for localisation.
_MAX_SECONDS, _MAX_STEP_SECONDS = 1.0, 0.9
# Possible error of a run's ranges: one window in the query, two segments in the reference.
_QUERY_MARGIN_SECONDS, _REF_MARGIN_SECONDS = 4.0, 8.0
# Maximum number of pairs: 16 MB. For longer runs, segments are precise enough.
_MAX_PAIRS = 4_000_000


@dataclass(frozen=True, slots=True)
class QueryFrames:
    """The frames of a query in time order.

    frames: float32 (T, 512), unit rows; frame codes if the query is an indexed video. seconds: float64
    (T,). duration_seconds: length of the query.
    """

    frames: Float32Array | CodedFrames
    seconds: Float64Array
    duration_seconds: float

    @classmethod
    def of_view(cls, query: QueryWindows, view: int) -> QueryFrames:
        """The single frames among the windows of the view with this number."""
        seen = query.views[view]
        starts = query.windows.starts[seen.windows]
        chosen = np.flatnonzero(query.windows.ends[seen.windows] - starts < _MAX_SECONDS)
        chosen = chosen[np.argsort(starts[chosen], kind="stable")]
        return cls(
            _unit(seen.vectors[chosen, :VISUAL_DIMENSION]), starts[chosen], query.duration_seconds
        )

    @classmethod
    def of_video(cls, video: VideoSegments, duration_seconds: float) -> QueryFrames:
        """All frames of an indexed video."""
        return cls(*coded_frames(video, range(len(video.refs))), duration_seconds)

    @property
    def are_sparse(self) -> bool:
        """Whether frames are too far apart to show where a copy begins and ends."""
        if len(self.seconds) < 2:
            return self.duration_seconds > _MAX_STEP_SECONDS
        return float(np.median(np.diff(self.seconds))) > _MAX_STEP_SECONDS

    def near(self, run: Run) -> BoolArray:
        """bool (T,): the frames that may belong to the run; of sparse frames those in its range."""
        margin = 0.0 if self.are_sparse else _QUERY_MARGIN_SECONDS
        return (self.seconds >= run.query_start_seconds - margin) & (
            self.seconds <= run.query_end_seconds + margin
        )

    def with_itself(self, chosen: BoolArray) -> Float32Array:
        """float32 (n, n): similarity of the chosen frames, bool (T,), to one another."""
        if isinstance(self.frames, CodedFrames):
            frames = self.frames.of(chosen)
            return frames.like_coded(frames)
        rows = self.frames[chosen]
        whole: Float32Array = rows @ rows.T
        return whole

    def similarity(self, chosen: BoolArray, codes: CodedFrames) -> Float32Array:
        """float32 (n, Tr): similarity of the chosen frames, bool (T,), to indexed frames."""
        if isinstance(self.frames, CodedFrames):
            return codes.like_coded(self.frames.of(chosen))
        return codes.like(self.frames[chosen])


@dataclass(frozen=True, slots=True)
class FrameSimilarity:
    """Similarities of query frames to reference frames around a run.

    similarity: float32 (Tq, Tr). query_seconds, ref_seconds: float64, increasing. first_seconds,
    last_seconds: times of the query's first and last frame. duration_seconds: length of the query.
    ref_start_seconds, ref_end_seconds: range of the complete reference. are_sparse: see `QueryFrames`.
    """

    similarity: Float32Array
    query_seconds: Float64Array
    ref_seconds: Float64Array
    first_seconds: float
    last_seconds: float
    duration_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    are_sparse: bool = False

    @classmethod
    def around(cls, run: Run, query: QueryFrames, video: VideoSegments) -> FrameSimilarity | None:
        """The frames near a run; None if either side has no frames there or there are too many."""
        near = query.near(run)
        if not near.any():
            return None
        segments = [
            number
            for number, ref in enumerate(video.refs)
            if ref.end_seconds >= run.ref_start_seconds - _REF_MARGIN_SECONDS
            and ref.start_seconds <= run.ref_end_seconds + _REF_MARGIN_SECONDS
        ]
        codes, seconds = coded_frames(video, segments)
        if not len(seconds) or int(near.sum()) * len(seconds) > _MAX_PAIRS:
            return None
        return cls(
            query.similarity(near, codes),
            query.seconds[near],
            seconds,
            float(query.seconds[0]),
            float(query.seconds[-1]),
            query.duration_seconds,
            video.refs[0].start_seconds,
            video.refs[-1].end_seconds,
            query.are_sparse,
        )


def coded_frames(video: VideoSegments, segments: Sequence[int]) -> tuple[CodedFrames, Float64Array]:
    """The valid frame codes of the segments with these numbers, and their times, float64 (T,)."""
    counts = [len(video.frames[number]) for number in segments]
    codes = np.concatenate([NO_FRAMES, *(video.frames[number] for number in segments)])
    frames = CodedFrames(
        _unit(video.vectors[list(segments), :VISUAL_DIMENSION]),
        codes,
        np.repeat(np.arange(len(counts)), counts),
    )
    seconds = np.concatenate(
        [
            np.zeros(0),
            *(
                video.refs[number].start_seconds + FRAME_SECONDS * np.arange(count)
                for number, count in zip(segments, counts, strict=True)
            ),
        ]
    )
    codes = valid_frames(codes)
    return frames.of(codes), seconds[codes]


def _unit(rows: Float32Array) -> Float32Array:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Float32Array = rows / np.maximum(norms, 1e-6)
    return scaled
