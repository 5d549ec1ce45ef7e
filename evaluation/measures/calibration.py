"""Calibration error, and the decisions of the default policy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float64Array
from evaluation.measures.relevance import (
    best_right,
    best_wrong,
    is_lookalike,
    negatives,
    positives,
    right_matches,
    score_of,
    wrong_matches,
)
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow, ScoredMatch

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose probability is in [low, high); the last bin includes 1.0."""

    low: float
    high: float
    mean_probability: float
    right: Proportion


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions of the default policy, in rows.

    `copies` rows have a right video to find; it was accepted, sent to review or missed, and the three
    sum up to `copies`. `wrong`: the same rows in which a non-match was accepted, independent of the
    right video. `negatives` rows have no right video; `negatives_accepted` counts those in which a
    non-match or look-alike was accepted, `negatives_review` those in which the best decision on one
    was review.
    """

    copies: int
    accepted: int
    review: int
    missed: int
    wrong: int
    negatives: int
    negatives_accepted: int
    negatives_review: int

    @property
    def copies_accepted(self) -> Proportion:
        return Proportion(self.accepted, self.copies)

    @property
    def copies_to_review(self) -> Proportion:
        return Proportion(self.review, self.copies)

    @property
    def copies_missed(self) -> Proportion:
        return Proportion(self.missed, self.copies)

    @property
    def copies_with_wrong(self) -> Proportion:
        return Proportion(self.wrong, self.copies)

    @property
    def false_accepts(self) -> Proportion:
        return Proportion(self.negatives_accepted, self.negatives)

    @property
    def negatives_to_review(self) -> Proportion:
        return Proportion(self.negatives_review, self.negatives)


def answers(rows: Iterable[QueryRow]) -> tuple[Float64Array, BoolArray]:
    """Probability of the best match of every open-set row, float64 (n,), and whether it is right, bool
    (n,).

    Partners are excluded, a tie between right and wrong counts as wrong, and a row without a match is
    not counted.
    """
    rows = list(rows)
    probabilities: list[float] = []
    outcomes: list[bool] = []
    for row in (*positives(rows), *negatives(rows)):
        right, wrong = best_right(row), best_wrong(row)
        is_right = score_of(right) > score_of(wrong)
        match = right if is_right else wrong
        if match is not None:
            probabilities.append(match.probability)
            outcomes.append(is_right)
    return np.array(probabilities, np.float64), np.array(outcomes, np.bool_)


def reliability(probabilities: Float64Array, right: BoolArray, bins: int = BINS) -> list[Bin]:
    """Non-empty bins of equal width; probabilities: float64 (n,) in [0, 1], right: bool (n,)."""
    bin_of = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    return [
        Bin(
            low=index / bins,
            high=(index + 1) / bins,
            mean_probability=float(probabilities[bin_of == index].mean()),
            right=Proportion(int(right[bin_of == index].sum()), int((bin_of == index).sum())),
        )
        for index in np.unique(bin_of).tolist()
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """ECE: mean over answers of |share right - mean probability| of their bin; NaN without answers.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015.
    """
    total = sum(bin_.right.total for bin_ in bins)
    if not total:
        return math.nan
    return (
        sum(bin_.right.total * abs(bin_.right.value - bin_.mean_probability) for bin_ in bins)
        / total
    )


def copy_decision(row: QueryRow) -> str:
    """The decision on the right video: `copy`, `review`, or `no_match` (also if it was not found)."""
    return _strongest(right_matches(row))


def wrong_decision(row: QueryRow) -> str:
    """The strongest decision on a non-match or look-alike."""
    return _strongest(wrong_matches(row))


def decisions(rows: Iterable[QueryRow]) -> Decisions:
    """Count what the default policy decided on the open-set rows."""
    rows = list(rows)
    with_copy = positives(rows)
    copies = [copy_decision(row) for row in with_copy]
    without_copy = [wrong_decision(row) for row in negatives(rows)]
    return Decisions(
        copies=len(copies),
        accepted=copies.count("copy"),
        review=copies.count("review"),
        missed=copies.count("no_match"),
        wrong=sum(wrong_decision(row) == "copy" for row in with_copy),
        negatives=len(without_copy),
        negatives_accepted=without_copy.count("copy"),
        negatives_review=without_copy.count("review"),
    )


def lookalikes_accepted(rows: Iterable[QueryRow]) -> Proportion:
    """Unedited look-alikes that were accepted as a copy in any of the catalogues searched; each counts
    once."""
    decided = _lookalike_decisions(rows)
    return Proportion(decided.count("copy"), len(decided))


def lookalikes_to_review(rows: Iterable[QueryRow]) -> Proportion:
    """Unedited look-alikes that were sent to review in any of the catalogues, and accepted in none."""
    decided = _lookalike_decisions(rows)
    return Proportion(decided.count("review"), len(decided))


def _lookalike_decisions(rows: Iterable[QueryRow]) -> list[str]:
    """The strongest decision on each unedited look-alike."""
    by_video: dict[str, list[ScoredMatch]] = {}
    for row in rows:
        if is_lookalike(row) and not row.error:
            by_video.setdefault(row.video_id, []).extend(wrong_matches(row))
    return [_strongest(matches) for matches in by_video.values()]


def _strongest(matches: Iterable[ScoredMatch]) -> str:
    decided = {match.decision for match in matches}
    return "copy" if "copy" in decided else "review" if "review" in decided else "no_match"
