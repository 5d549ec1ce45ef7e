"""The frames of a query beside those of a reference, around a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.frame_codes import FRAME_SECONDS, frame_similarity, known_frames
from common.types import (
    VISUAL_DIMENSION,
    Float32Array,
    Float64Array,
    Int64Array,
    QueryEmbedding,
)
from searcher.matching.alignment import Run
from searcher.state import VideoSegments

HALF_FRAME_SECONDS = FRAME_SECONDS / 2
# A longer window is no frame; frames further apart say little of when.
_MAX_SECONDS, _MAX_STEP_SECONDS = 1.0, 1.0
# The ranges of a run may be so wrong: a window, and a segment and a half.
_QUERY_MARGIN_SECONDS, _REF_MARGIN_SECONDS = 4.0, 8.0
# Of longer runs the segments alone tell the ranges well enough: 16 MB.
_MAX_PAIRS = 4_000_000


@dataclass(frozen=True, slots=True)
class Frames:
    """Frames of a query beside frames of a reference, around a run.

    similarity: float32 (Tq, Tr); query_seconds, ref_seconds: float64, increasing. first_seconds: of the
    whole query's first frame, last_seconds: of its last, duration_seconds: of it; ref_start_seconds,
    ref_end_seconds: of the whole reference.
    """

    similarity: Float32Array
    query_seconds: Float64Array
    ref_seconds: Float64Array
    first_seconds: float
    last_seconds: float
    duration_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float

    @classmethod
    def around(
        cls,
        run: Run,
        query: QueryEmbedding,
        view: int,
        video: VideoSegments,
    ) -> Frames | None:
        """Those near a run found through a view, by number; None where one of the two has no frames
        there, or too many."""
        refs, vectors, codes = video
        seen = _query_frames(query, view)
        times = query.window_start_seconds[seen]
        near = (times >= run.query_start_seconds - _QUERY_MARGIN_SECONDS) & (
            times <= run.query_end_seconds + _QUERY_MARGIN_SECONDS
        )
        if not near.any() or _step(times) > _MAX_STEP_SECONDS:
            return None
        segments = [
            number
            for number, ref in enumerate(refs)
            if ref.end_seconds >= run.ref_start_seconds - _REF_MARGIN_SECONDS
            and ref.start_seconds <= run.ref_end_seconds + _REF_MARGIN_SECONDS
        ]
        if not segments:
            return None
        counts = [len(codes[number]) for number in segments]
        told = np.concatenate([codes[number] for number in segments])
        at = np.concatenate(
            [
                refs[number].start_seconds + FRAME_SECONDS * np.arange(count)
                for number, count in zip(segments, counts, strict=True)
            ]
        )
        known = known_frames(told)
        if not known.any() or int(near.sum()) * int(known.sum()) > _MAX_PAIRS:
            return None
        visual = _unit(vectors[segments, :VISUAL_DIMENSION])
        shown = _unit(query.vectors[view][seen][near, :VISUAL_DIMENSION])
        return cls(
            frame_similarity(
                shown, visual, told[known], np.repeat(np.arange(len(segments)), counts)[known]
            ),
            times[near],
            at[known],
            float(times[0]),
            float(times[-1]),
            query.duration_seconds,
            refs[0].start_seconds,
            refs[-1].end_seconds,
        )


def _query_frames(query: QueryEmbedding, view: int) -> Int64Array:
    """The windows of a view that are one frame each, in time order."""
    short = query.window_end_seconds - query.window_start_seconds < _MAX_SECONDS
    seen = np.flatnonzero(short & query.informative[view])
    return seen[np.argsort(query.window_start_seconds[seen], kind="stable")]


def _unit(rows: Float32Array) -> Float32Array:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    scaled: Float32Array = rows / np.maximum(norms, 1e-6)
    return scaled


def _step(times: Float64Array) -> float:
    """Seconds between frames, as they usually are."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0
