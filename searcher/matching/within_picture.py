"""Copies within the picture of a copy, as in a reaction video.

A first pass embeds the whole picture at every frame, and pictures within it at a few moments. Fewer
moments say less of a match and of its range. So they never compete with the whole picture: they only add
videos.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import compress

import numpy as np

from common.types import EVERYWHERE, BoolArray, Float32Array, QueryEmbedding, TimeSpans
from searcher.matching.report.match_report import MatchReport

_WHOLE = "identity"


def whole_picture(piece: QueryEmbedding) -> QueryEmbedding:
    """A piece of a first pass, with the view of the whole picture only."""
    return _with(piece, np.array([name == _WHOLE for name in piece.views]))


def within_picture(piece: QueryEmbedding, spans: TimeSpans = EVERYWHERE) -> QueryEmbedding:
    """A piece of a first pass without the view of the whole picture, and with information only in windows
    that lie in these parts of the query."""
    inside = np.zeros(len(piece.window_start_seconds), dtype=bool)
    for start, end in spans:
        inside |= (piece.window_start_seconds >= start) & (piece.window_end_seconds <= end)
    within = _with(piece, np.array([name != _WHOLE for name in piece.views]))
    vectors: Float32Array = np.where(inside[:, None], within.vectors, np.float32(0))
    return replace(within, vectors=vectors, informative=within.informative & inside)


def with_further_videos(report: MatchReport, within: MatchReport) -> MatchReport:
    """A report, and the copies within the picture of videos of which it has no copy."""
    copied = {run.video_id for run, decision in report.judged if decision == "copy"}
    added = [
        (run, decision)
        for run, decision in within.judged
        if decision == "copy" and run.video_id not in copied
    ]
    new = {run.video_id for run, _ in added}
    others = [pair for pair in report.judged if pair[0].video_id not in new]
    return report.with_judged([*others, *added]) if added else report


def _with(piece: QueryEmbedding, wanted: BoolArray) -> QueryEmbedding:
    """A piece with these views, bool (V,), only."""
    return replace(
        piece,
        views=tuple(compress(piece.views, wanted)),
        vectors=piece.vectors[wanted],
        informative=piece.informative[wanted],
    )
