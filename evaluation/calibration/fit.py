"""A calibration fitted on answers whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from common.errors import UsageError
from common.types import BoolArray, Float64Array, Int64Array
from evaluation.calibration.judged import JudgedPairs
from evaluation.calibration.samples import Samples
from searcher.matching.scoring.calibration import Calibration, log_length, shrinkage

# The fit tries each combination: the weight of the background shift, and an offset that is added to that
# of every transformed view. The data has few videos that were rotated or inserted into another.
BACKGROUND_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_EXTRA_OFFSETS = (0.0, 0.02, 0.04, 0.06)
# The offsets make this quantile of the best non-match scores equal in all views.
_OFFSET_QUANTILE = 0.98
# Share of the queries without a copy in the catalogue that may be accepted, or sent to review.
_ACCEPTED_RATE, _REVIEWED_RATE = 0.0015, 0.02
_RIDGE = 1e-5
_STEPS, _LONGEST_STEP = 40, 8.0
# A fit to fewer right or wrong answers would fit noise.
_MIN_ANSWERS = 20


@dataclass(frozen=True, slots=True)
class _Answers:
    """The best pair of each of A answers.

    right: bool (A,). absent: bool (A,), whether the catalogue holds no copy. normalised: float64 (A,),
    normalised score. length: float64 (A,), log2(seconds / 4).
    """

    right: BoolArray
    absent: BoolArray
    normalised: Float64Array
    length: Float64Array


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What the regression is fitted on: see _Answers. weight: float64 (P,)."""

    right: BoolArray
    normalised: Float64Array
    length: Float64Array
    weight: Float64Array

    @classmethod
    def of(cls, answers: _Answers) -> _Pairs:
        weight = np.ones(len(answers.right))
        return cls(answers.right, answers.normalised, answers.length, weight)

    def with_judged(self, judged: JudgedPairs, normalised: Float64Array) -> _Pairs:
        weight = np.full(len(judged), judged.weight(len(self.right)))
        return _Pairs(
            np.concatenate([self.right, judged.right]),
            np.concatenate([self.normalised, normalised]),
            np.concatenate([self.length, judged.length]),
            np.concatenate([self.weight, weight]),
        )


def fit(
    samples: Samples,
    base: Calibration,
    version: str,
    background_weights: Sequence[float] = BACKGROUND_WEIGHTS,
    judged: JudgedPairs | None = None,
) -> Calibration:
    """Fit a calibration: the probability of an answer is the share of such answers that are right.

    Logistic regression on the normalised score and the matched length (ridge, Newton's method), for
    each combination of background weight and extra offset; the one with the least log loss is
    returned. judged: further pairs for the regression alone. The default policy accepts 0.15 % of the
    queries without a copy in the catalogue. Raises UsageError if there are too few answers, or if copies
    do not score higher than non-matches.
    """
    background_means = _background_means(samples)
    trust = shrinkage(samples.count)
    background_shift = trust * (samples.background_mean - background_means[samples.view])
    best: tuple[float, Calibration] | None = None
    for weight, extra in product(background_weights, _EXTRA_OFFSETS):
        offsets = _view_offsets(samples, samples.score - weight * background_shift, extra)
        normalised = samples.score - weight * background_shift - offsets[samples.view]
        answers = _best_pairs(samples, normalised)
        pairs = _Pairs.of(answers)
        if judged is not None and len(judged):
            pairs = pairs.with_judged(judged, judged.normalised(weight, offsets, samples.views))
        slope, intercept, length_weight, loss = _logistic(pairs)
        if slope <= 0:
            continue
        fitted = replace(
            base,
            version=version,
            measured=True,
            slope=round(slope, 4),
            midpoint=round(-intercept / slope, 5),
            length_weight=round(length_weight, 4),
            background_weight=weight,
            views={
                name: (round(float(offsets[number]), 4), round(float(background_means[number]), 4))
                for number, name in enumerate(samples.views)
            },
        )
        logits = slope * answers.normalised + intercept + length_weight * answers.length
        fitted = _with_policy(fitted, answers, logits)
        if best is None or loss < best[0]:
            best = loss, fitted
    if best is None:
        raise UsageError("no calibration fits: copies do not score higher than non-matches here")
    return best[1]


def _background_means(samples: Samples) -> Float64Array:
    """float64 (views,): mean score of non-matches through each view, over all of them."""
    total = np.bincount(samples.view, samples.count * samples.background_mean, len(samples.views))
    count = np.bincount(samples.view, samples.count, len(samples.views))
    return total / np.maximum(count, 1)


def _view_offsets(samples: Samples, score: Float64Array, extra: float) -> Float64Array:
    """float64 (views,): subtracted from the scores of a view, these give it the false-positive rate of
    `identity`; `extra` is added for every other view."""
    levels = np.full(len(samples.views), np.nan)
    for number in range(len(samples.views)):
        chosen = (samples.view == number) & ~samples.right
        if chosen.any():
            levels[number] = np.quantile(
                _highest_per_group(samples.answer[chosen], score[chosen]), _OFFSET_QUANTILE
            )
    identity = samples.views.index("identity")
    offsets = np.maximum(np.nan_to_num(levels - levels[identity]), 0.0) + extra
    offsets[identity] = 0.0
    return offsets


def _highest_per_group(group: Int64Array, values: Float64Array) -> Float64Array:
    """The highest value of each group, in the order of the groups."""
    order = np.lexsort((values, group))
    last = np.flatnonzero(np.diff(group[order], append=-1))
    return values[order[last]]


def _best_pairs(samples: Samples, normalised: Float64Array) -> _Answers:
    order = np.lexsort((normalised, samples.answer))
    best = order[np.flatnonzero(np.diff(samples.answer[order], append=-1))]
    right = samples.right[best]
    if min(right.sum(), (~right).sum()) < _MIN_ANSWERS:
        raise UsageError(
            f"too few answers to fit a calibration: {int(right.sum())} right and {int((~right).sum())} "
            f"wrong ones, expected {_MIN_ANSWERS} of each; take more videos or more transforms"
        )
    return _Answers(
        right,
        samples.absent[samples.answer[best]],
        normalised[best],
        log_length(samples.seconds[best]),
    )


def _logistic(answers: _Pairs) -> tuple[float, float, float, float]:
    """Slope, intercept, weight of the length (at least 0), and mean log loss."""
    design = np.stack(
        [answers.normalised, np.ones(len(answers.normalised)), answers.length], axis=1
    )
    for columns in ([0, 1, 2], [0, 1]):
        weights, loss = _newton(design[:, columns], answers.right.astype(float), answers.weight)
        if len(columns) < 3 or weights[2] >= 0:
            break
    length_weight = float(weights[2]) if len(weights) == 3 else 0.0
    return float(weights[0]), float(weights[1]), length_weight, loss


def _newton(
    design: Float64Array, right: Float64Array, importance: Float64Array
) -> tuple[Float64Array, float]:
    """Weights with the least loss, in which each row has its importance. Steps are bounded because
    separable data has no minimum."""
    weights = np.zeros(design.shape[1])
    ridge = _RIDGE * importance.sum() * np.eye(len(weights))
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (importance * (right - p)) - ridge @ weights
        hessian = (design * (importance * p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step * min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-9))
    logits = design @ weights
    losses = np.logaddexp(0, np.where(right > 0, -logits, logits))
    loss = float(np.average(losses, weights=importance))
    return weights, loss


def _with_policy(calibration: Calibration, answers: _Answers, logits: Float64Array) -> Calibration:
    absent = logits[answers.absent]
    probabilities = 1 / (1 + np.exp(-absent))

    def threshold(share: float, least: float) -> float:
        if not len(probabilities):
            return least
        allowed = int(share * len(probabilities))
        over = float(np.sort(probabilities)[::-1][allowed])
        return round(min(max(least, over + 1e-4), 0.999), 4)

    # The data has few look-alikes, and they may all be easy, so the copy threshold is never lowered.
    copy = threshold(_ACCEPTED_RATE, max(0.5, calibration.copy_probability))
    review = min(threshold(_REVIEWED_RATE, 0.1), copy)
    return replace(calibration, copy_probability=copy, review_probability=review)
