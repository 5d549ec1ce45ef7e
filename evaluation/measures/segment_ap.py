"""Segment uAP: detection and localisation in one number, as in the matching track of VSC2022.

Definition: E. Pizzi et al., "The 2023 Video Similarity Dataset and Challenge", arXiv 2306.09489,
after the precision and recall of VCSL (S. He et al., CVPR 2022, arXiv 2203.02654). A match claims a
rectangle: seconds of the query by seconds of the reference. The claims of all queries are in one list,
best first. At each threshold, over all (query, reference) pairs together and on each of the two time
axes,

    precision = seconds claimed that are true / seconds claimed
    recall    = seconds claimed that are true / seconds that are true

where seconds are those of the union of a pair's ranges. A true rectangle counts only if a claim of the
same pair overlaps it on both axes. Precision and recall at a threshold are the geometric means over the
axes; the measure is the sum of precision times the gain in recall.

Two things differ from VSC2022: partners are excluded, and so are true copies made by other people, whose
time ranges are unknown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float64Array
from evaluation.measures.relevance import answer, is_wrong, negatives, positives, score_of
from evaluation.measures.temporal_iou import Range, intersection, length, query_range, ref_range
from evaluation.records import CopiedRange, QueryRow, ScoredMatch

_AXES: tuple[Callable[[ScoredMatch | CopiedRange], Range], ...] = (query_range, ref_range)


@dataclass(frozen=True, slots=True)
class _Gain:
    """What one match adds to its pair: its score, and true and claimed seconds on the query axis and on
    the reference axis."""

    score: tuple[float, float]
    true: tuple[float, float]
    claimed: tuple[float, float]


def segment_ap(rows: Iterable[QueryRow]) -> float:
    """Segment uAP over the open-set rows, 0 to 1; NaN if no row has pieces.

    Rows without pieces and unedited queries are excluded. A failed query with pieces lowers the recall,
    so a run keeps the pieces of queries that it could not read.
    """
    rows = list(rows)
    with_pieces = [row for row in positives(rows) if row.pieces and row.group != "real"]
    truth = np.zeros(2)
    gains: list[_Gain] = []
    for row in with_pieces:
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
    for match in answer(row):
        if match.relation == "self" or is_wrong(match):
            by_video.setdefault(match.video_id, []).append(match)
    gains: list[_Gain] = []
    for matches in by_video.values():
        own_pieces = pieces if matches[0].relation == "self" else ()
        gains += _gains_of_pair(sorted(matches, key=score_of, reverse=True), own_pieces)
    return gains


def _gains_of_pair(matches: Sequence[ScoredMatch], pieces: Sequence[CopiedRange]) -> list[_Gain]:
    """What each match of one pair adds to the seconds of the better matches; best first."""
    gains: list[_Gain] = []
    true = claimed = (0.0, 0.0)
    for count, match in enumerate(matches, 1):
        better = matches[:count]
        touched = [piece for piece in pieces if any(_overlap(piece, other) for other in better)]
        new_claimed = _lengths(better)
        new_true = _intersections(better, touched)
        gains.append(_Gain(score_of(match), _less(new_true, true), _less(new_claimed, claimed)))
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
        index
        for index, gain in enumerate(ordered)
        if index + 1 == len(ordered) or ordered[index + 1].score != gain.score
    ]
    recall = np.sqrt(np.prod(true[ends] / truth, axis=1))
    # Rounding may put a sum of differences slightly above 1.
    precision = np.sqrt(np.prod(true[ends] / np.maximum(claimed[ends], 1e-12), axis=1)).clip(0, 1)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision).clip(0, 1))


def _overlap(piece: CopiedRange, match: ScoredMatch) -> bool:
    return all(intersection([axis(piece)], [axis(match)]) > 0 for axis in _AXES)


def _lengths(matches: Sequence[ScoredMatch]) -> tuple[float, float]:
    if (
        len(matches) == 1
    ):  # Nearly every pair; this makes a million non-matches a matter of seconds.
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
