"""Segment uAP: finding and locating in one number, in the manner of VSC2022's matching track.

Definition: E. Pizzi et al., "The 2023 Video Similarity Dataset and Challenge", arXiv 2306.09489,
after the precision and recall of VCSL (S. He et al., CVPR 2022, arXiv 2203.02654). A match claims a
rectangle: seconds of the query by seconds of the reference. The claims of all queries are taken in
one list, best first. After each threshold, over all (query, reference) pairs together and on each
of the two time axes,

    precision = seconds claimed that are true / seconds claimed
    recall    = seconds claimed that are true / seconds that are true

where seconds are those of the union of a pair's ranges, and a true rectangle counts as touched only
once a claim of the same pair overlaps it on both axes. Precision and recall of a threshold are the
geometric means over the axes, and the measure is the sum of precision times the gain in recall.

Ours differ in two ways: partners are left out, and so are true copies made by others, whose time line is
not known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float64Array
from evaluation.data.records import CopiedRange, QueryRow, ScoredMatch
from evaluation.measures.relevance import answer, is_wrong, negatives, positives, score_of
from evaluation.measures.temporal_iou import Range, intersection, length, query_range, ref_range

_AXES: tuple[Callable[[ScoredMatch | CopiedRange], Range], ...] = (query_range, ref_range)


@dataclass(frozen=True, slots=True)
class _Gain:
    """What one match adds to its pair: score, and seconds true and claimed on the query and ref axis."""

    score: tuple[float, float]
    true: tuple[float, float]
    claimed: tuple[float, float]


def segment_ap(rows: Iterable[QueryRow]) -> float:
    """Segment uAP over the open-set rows, 0 to 1; NaN where no row has pieces.

    Rows without pieces, and videos asked as they are, are left out. A failed query with pieces is
    recall that is never reached, so a run keeps the pieces of what it failed to read.
    """
    rows = list(rows)
    asked = [row for row in positives(rows) if row.pieces and row.group != "real"]
    truth = np.zeros(2)
    gains: list[_Gain] = []
    for row in asked:
        truth += [length(map(axis, row.pieces)) for axis in _AXES]
        gains += _gains_of_row(row, row.pieces)
    for row in negatives(rows):
        if row.group != "real":
            gains += _gains_of_row(row, ())
    if not truth.all():
        return math.nan
    return _area(gains, truth)


def _gains_of_row(row: QueryRow, pieces: Sequence[CopiedRange]) -> list[_Gain]:
    by_video: dict[str, list[ScoredMatch]] = {}
    for found in answer(row):
        if found.relation == "self" or is_wrong(found):
            by_video.setdefault(found.video_id, []).append(found)
    gains: list[_Gain] = []
    for matches in by_video.values():
        own = pieces if matches[0].relation == "self" else ()
        gains += _gains_of_pair(sorted(matches, key=score_of, reverse=True), own)
    return gains


def _gains_of_pair(matches: Sequence[ScoredMatch], pieces: Sequence[CopiedRange]) -> list[_Gain]:
    """What each match of one pair, best first, adds to the seconds of those before it."""
    gains: list[_Gain] = []
    true = claimed = (0.0, 0.0)
    for place, found in enumerate(matches, 1):
        taken = matches[:place]
        touched = [piece for piece in pieces if any(_overlap(piece, one) for one in taken)]
        new_claimed = _lengths(taken)
        new_true = _intersections(taken, touched)
        gains.append(_Gain(score_of(found), _less(new_true, true), _less(new_claimed, claimed)))
        true, claimed = new_true, new_claimed
    return gains


def _area(gains: Sequence[_Gain], truth: Float64Array) -> float:
    """Sum over thresholds of precision times the gain in recall; equal scores are one threshold."""
    if not gains:
        return 0.0
    ordered = sorted(gains, key=lambda gain: gain.score, reverse=True)
    true = np.cumsum([gain.true for gain in ordered], axis=0)
    claimed = np.cumsum([gain.claimed for gain in ordered], axis=0)
    ends = [
        place
        for place, gain in enumerate(ordered)
        if place + 1 == len(ordered) or ordered[place + 1].score != gain.score
    ]
    recall = np.sqrt(np.prod(true[ends] / truth, axis=1))
    # Sums of differences may end a hair above what they are a part of.
    precision = np.sqrt(np.prod(true[ends] / np.maximum(claimed[ends], 1e-12), axis=1)).clip(0, 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision).clip(0, 1))


def _overlap(piece: CopiedRange, found: ScoredMatch) -> bool:
    return all(intersection([axis(piece)], [axis(found)]) > 0 for axis in _AXES)


def _lengths(matches: Sequence[ScoredMatch]) -> tuple[float, float]:
    if len(matches) == 1:  # Nearly every pair: a million non-matches are summed up in seconds.
        start, end = query_range(matches[0])
        ref_start, ref_end = ref_range(matches[0])
        return max(0.0, end - start), max(0.0, ref_end - ref_start)
    query, ref = (length(map(axis, matches)) for axis in _AXES)
    return query, ref


def _intersections(
    matches: Sequence[ScoredMatch], pieces: Sequence[CopiedRange]
) -> tuple[float, float]:
    if not pieces:
        return 0.0, 0.0
    query, ref = (intersection(map(axis, matches), map(axis, pieces)) for axis in _AXES)
    return query, ref


def _less(new: tuple[float, float], old: tuple[float, float]) -> tuple[float, float]:
    return new[0] - old[0], new[1] - old[1]
