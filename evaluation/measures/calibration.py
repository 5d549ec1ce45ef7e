"""Whether a probability means what it says, and what the default policy makes of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import BoolArray, Float64Array
from evaluation.data.records import QueryRow, ScoredMatch
from evaluation.measures.relevance import (
    best_right,
    best_wrong,
    negatives,
    positives,
    right_matches,
    score_of,
    wrong_matches,
)
from evaluation.measures.statistics import Proportion

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose probability lies in [low, high); the last bin holds 1.0 too."""

    low: float
    high: float
    mean_probability: float
    right: Proportion


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the default policy decided, in rows.

    Of `copies` rows with a right video to find, it was accepted, left to review, or missed: the
    three sum up to `copies`. `wrong`: of the same rows, those in which a non-match was accepted,
    whatever became of the right video. Of `strangers` rows without one, those in which a non-match
    or look-alike was accepted or, where none was, left to review.
    """

    copies: int
    accepted: int
    review: int
    missed: int
    wrong: int
    strangers: int
    strangers_accepted: int
    strangers_review: int

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
        return Proportion(self.strangers_accepted, self.strangers)

    @property
    def strangers_to_review(self) -> Proportion:
        return Proportion(self.strangers_review, self.strangers)


def answers(rows: Iterable[QueryRow]) -> tuple[Float64Array, BoolArray]:
    """Probability of the best match of every open-set row, float64 (n,), and whether it is right, (n,).

    Partners are left out, a tie between right and wrong is wrong, and a row without any match claims
    nothing.
    """
    rows = list(rows)
    probabilities: list[float] = []
    outcomes: list[bool] = []
    for row in (*positives(rows), *negatives(rows)):
        right, wrong = best_right(row), best_wrong(row)
        is_right = score_of(right) > score_of(wrong)
        found = right if is_right else wrong
        if found is not None:
            probabilities.append(found.probability)
            outcomes.append(is_right)
    return np.array(probabilities, np.float64), np.array(outcomes, np.bool_)


def reliability(probabilities: Float64Array, right: BoolArray, bins: int = BINS) -> list[Bin]:
    """Bins of equal width that hold anything; probabilities float64 (n,) in [0, 1], right bool (n,)."""
    place = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    return [
        Bin(
            low=index / bins,
            high=(index + 1) / bins,
            mean_probability=float(probabilities[place == index].mean()),
            right=Proportion(int(right[place == index].sum()), int((place == index).sum())),
        )
        for index in np.unique(place).tolist()
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """ECE: mean over answers of |share right - mean probability| of their bin; NaN without answers.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
    binning", AAAI 2015.
    """
    total = sum(one.right.total for one in bins)
    if not total:
        return math.nan
    return (
        sum(one.right.total * abs(one.right.value - one.mean_probability) for one in bins) / total
    )


def copy_decision(row: QueryRow) -> str:
    """What became of the right video: `copy`, `review` or, also when it was not found, `no_match`."""
    return _strongest(right_matches(row))


def stranger_decision(row: QueryRow) -> str:
    """The strongest decision on a non-match or look-alike."""
    return _strongest(wrong_matches(row))


def decisions(rows: Iterable[QueryRow]) -> Decisions:
    """Count what the default policy decided on the open-set rows."""
    rows = list(rows)
    asked = positives(rows)
    copies = [copy_decision(row) for row in asked]
    strangers = [stranger_decision(row) for row in negatives(rows)]
    return Decisions(
        copies=len(copies),
        accepted=copies.count("copy"),
        review=copies.count("review"),
        missed=copies.count("no_match"),
        wrong=sum(stranger_decision(row) == "copy" for row in asked),
        strangers=len(strangers),
        strangers_accepted=strangers.count("copy"),
        strangers_review=strangers.count("review"),
    )


def lookalikes_accepted(rows: Iterable[QueryRow]) -> Proportion:
    """Look-alikes as they are that were taken for a copy of something they are not, in any catalogue that
    they were asked of; one query each."""
    taken: dict[str, bool] = {}
    for row in rows:
        if (row.group, row.transform) == ("real", "lookalike") and not row.error:
            accepted = stranger_decision(row) == "copy"
            taken[row.video_id] = taken.get(row.video_id, False) or accepted
    return Proportion(sum(taken.values()), len(taken))


def _strongest(matches: Iterable[ScoredMatch]) -> str:
    made = {found.decision for found in matches}
    return "copy" if "copy" in made else "review" if "review" in made else "no_match"
