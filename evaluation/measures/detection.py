"""Open-set measures: half of the videos are not in the catalogue, so no match can be the right answer.

Positives are rows whose catalogue holds a right video; negatives are rows whose catalogue holds none.
`relevance` says which matches count, how they are ordered and how a failed query counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float64Array, Int64Array
from evaluation.measures.relevance import (
    NOT_FOUND,
    Score,
    best_of_each_video,
    best_right,
    best_wrong,
    negatives,
    positives,
    score_of,
    wrong_matches,
)
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow


@dataclass(frozen=True, slots=True)
class Predictions:
    """Every answered (query, video) pair, pooled over the open-set rows.

    probability, similarity: float64 (n,). right: bool (n,). positives: number of rows with a right
    video. A query counts one right video, its best; further true copies are neither right nor wrong.
    """

    probability: Float64Array
    similarity: Float64Array
    right: BoolArray
    positives: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One point per threshold, from the strictest to the most lenient: float64 (n,) each, 0 to 1."""

    x: Float64Array
    y: Float64Array


def threshold_at_fpr(negative_scores: Sequence[Score], rate: float) -> Score:
    """The score that a match must be *above* so that at most `rate` of the negatives are accepted.

    negative_scores: for each negative, the score of its best non-match, NOT_FOUND if it has none. The
    smallest allowed threshold is just above the returned score, so a copy with that score is rejected.
    With fewer than 1 / rate negatives none may be accepted: the measure is then recall without a false
    positive, which is stricter than its name. Raises ValueError without negatives.
    """
    if not negative_scores:
        raise ValueError("negative_scores: expected at least one, got none")
    # 0.01 times 300 must give 3 in spite of rounding.
    allowed = math.floor(rate * len(negative_scores) + 1e-9)
    return (
        NOT_FOUND
        if allowed >= len(negative_scores)
        else sorted(negative_scores, reverse=True)[allowed]
    )


def recall_at_fpr(rows: Sequence[QueryRow], rate: float) -> Proportion:
    """Share of positives whose right video scores above `threshold_at_fpr`; empty without negatives. Its
    interval treats the threshold as fixed."""
    accepted = accepted_at_fpr(rows, rate)
    return Proportion(sum(accepted), len(accepted))


def accepted_at_fpr(rows: Sequence[QueryRow], rate: float) -> list[bool]:
    """Whether each of `positives(rows)` is accepted at that rate; empty without negatives."""
    negative_scores = [score_of(best_wrong(row)) for row in negatives(rows)]
    if not negative_scores:
        return []
    threshold = threshold_at_fpr(negative_scores, rate)
    return [score_of(best_right(row)) > threshold for row in positives(rows)]


def roc(rows: Sequence[QueryRow]) -> Curve:
    """x: share of negatives accepted, y: share of positives accepted, at every threshold; starts at
    (0, 0).

    The last point accepts every match. A positive that was not found is never accepted.
    """
    copies = [score_of(best_right(row)) for row in positives(rows)]
    negative_scores = [score_of(best_wrong(row)) for row in negatives(rows)]
    scores = [score for score in (*copies, *negative_scores) if score != NOT_FOUND]
    found_count = sum(score != NOT_FOUND for score in copies)
    right = np.arange(len(scores)) < found_count
    probability, similarity = np.array(scores, np.float64).reshape(-1, 2).T
    order, ends = _thresholds(probability, similarity)
    accepted, wrongly = np.cumsum(right[order]), np.cumsum(~right[order])
    return Curve(
        np.concatenate([[0.0], wrongly[ends] / max(len(negative_scores), 1)]),
        np.concatenate([[0.0], accepted[ends] / max(len(copies), 1)]),
    )


def pooled(rows: Iterable[QueryRow]) -> Predictions:
    """All predictions of the open-set rows, one per (query, video) pair, without partners."""
    rows = list(rows)
    with_copy = positives(rows)
    scores: list[Score] = []
    right: list[bool] = []
    for row in with_copy:
        match = best_right(row)
        if match is not None:
            scores.append(score_of(match))
            right.append(True)
    for row in (*with_copy, *negatives(rows)):
        wrong = best_of_each_video(wrong_matches(row))
        scores += map(score_of, wrong)
        right += [False] * len(wrong)
    probability, similarity = np.array(scores, np.float64).reshape(-1, 2).T
    return Predictions(probability, similarity, np.array(right, np.bool_), len(with_copy))


def precision_recall(predictions: Predictions) -> Curve:
    """x: recall over all positives, y: precision, at every threshold; equal scores are one threshold."""
    order, ends = _thresholds(predictions.probability, predictions.similarity)
    right = np.cumsum(predictions.right[order])[ends]
    return Curve(right / max(predictions.positives, 1), right / (ends + 1))


def micro_ap(predictions: Predictions) -> float:
    """uAP, 0 to 1: the sum over thresholds of precision times the gain in recall; NaN without positives.

    As in the Image Similarity Challenge (M. Douze et al., arXiv 2106.09672) and VSC2022's
    descriptor track (E. Pizzi et al., "The 2023 Video Similarity Dataset and Challenge", arXiv
    2306.09489): the predictions of all queries are in one list, so one threshold applies to every
    query. A right video that was not found, or whose query failed, limits the recall. Equal scores are
    one step, so their order in the list does not matter.
    """
    if not predictions.positives:
        return math.nan
    curve = precision_recall(predictions)
    return float(np.sum(np.diff(curve.x, prepend=0.0) * curve.y))


def recall_at_precision(predictions: Predictions, precision: float) -> Proportion:
    """The highest recall among thresholds with at least that precision; 0 if there is none."""
    curve = precision_recall(predictions)
    reached = curve.x[curve.y >= precision - 1e-12]
    recall = float(reached.max()) if len(reached) else 0.0
    return Proportion(round(recall * predictions.positives), predictions.positives)


def _thresholds(
    probability: Float64Array, similarity: Float64Array
) -> tuple[Int64Array, Int64Array]:
    """Order from the highest score down, int64 (n,), and the last place of each run of equals, (t,)."""
    order = np.lexsort((-similarity, -probability)).astype(np.int64)
    p, s = probability[order], similarity[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (p[1:] != p[:-1]) | (s[1:] != s[:-1])
    return order, np.flatnonzero(last).astype(np.int64)
