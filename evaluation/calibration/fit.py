"""A calibration fitted on answers whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from common.errors import UsageError
from common.types import BoolArray, Float64Array, Int64Array
from evaluation.calibration.samples import Samples
from searcher.matching.calibration import Calibration, log_length, shrinkage

# Tried for each: how much a query's own non-matches count, and what a view costs beyond what makes its
# non-matches as rare as those of the picture as it is. Few videos were turned or put into another.
BACKGROUND_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_EXTRA_PRICES = (0.0, 0.02, 0.04, 0.06)
# Views are compared by the score that so many of their best non-matches stay below.
_STRANGER_QUANTILE = 0.98
# Of queries without an original in the catalogue so many may be called a copy, or be shown to a reviewer.
_ACCEPTED_STRANGERS, _REVIEWED_STRANGERS = 0.0015, 0.02
_RIDGE = 1e-5
_STEPS, _LONGEST_STEP = 40, 8.0
# Fewer answers of either kind fit noise.
_MIN_ANSWERS = 20


@dataclass(frozen=True, slots=True)
class _Answers:
    """The best pair of each answer. right: whether it is. excess: float64 (A,); length: log2 of
    seconds."""

    right: BoolArray
    absent: BoolArray
    excess: Float64Array
    length: Float64Array


def fit(
    samples: Samples,
    base: Calibration,
    version: str,
    background_weights: Sequence[float] = BACKGROUND_WEIGHTS,
) -> Calibration:
    """The calibration under which the best pair of each answer is right as often as its probability says.

    Logistic regression on the priced score and the matched length (ridge, Newton's method), for each of
    a few ways to price; the one of the least log loss is taken. The default policy accepts 0.15 % of the
    queries whose original is absent. Raises UsageError where there are too few answers.
    """
    usual = _usual(samples)
    trust = shrinkage(samples.count)
    lift = trust * (samples.strangers - usual[samples.view])
    best: tuple[float, Calibration] | None = None
    for weight, extra in product(background_weights, _EXTRA_PRICES):
        prices = _prices(samples, samples.score - weight * lift, extra)
        excess = samples.score - weight * lift - prices[samples.view]
        answers = _best_pairs(samples, excess)
        slope, intercept, length_weight, loss = _logistic(answers)
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
                name: (round(float(prices[number]), 4), round(float(usual[number]), 4))
                for number, name in enumerate(samples.views)
            },
        )
        logits = slope * answers.excess + intercept + length_weight * answers.length
        fitted = _with_policy(fitted, answers, logits)
        if best is None or loss < best[0]:
            best = loss, fitted
    if best is None:
        raise UsageError("no calibration fits: copies do not score higher than strangers here")
    return best[1]


def _usual(samples: Samples) -> Float64Array:
    """float64 (views,): how similar non-matches are, weighted by how many were seen."""
    total = np.bincount(samples.view, samples.count * samples.strangers, len(samples.views))
    count = np.bincount(samples.view, samples.count, len(samples.views))
    return total / np.maximum(count, 1)


def _prices(samples: Samples, score: Float64Array, extra: float) -> Float64Array:
    """float64 (views,): what makes the best non-matches of a view as rare as those of `identity`."""
    levels = np.full(len(samples.views), np.nan)
    for number in range(len(samples.views)):
        chosen = (samples.view == number) & ~samples.right
        if chosen.any():
            levels[number] = np.quantile(
                _most(samples.answer[chosen], score[chosen]), _STRANGER_QUANTILE
            )
    identity = samples.views.index("identity")
    prices = np.maximum(np.nan_to_num(levels - levels[identity]), 0.0) + extra
    prices[identity] = 0.0
    return prices


def _most(group: Int64Array, values: Float64Array) -> Float64Array:
    """The highest value of each group."""
    order = np.lexsort((values, group))
    last = np.flatnonzero(np.diff(group[order], append=-1))
    return values[order[last]]


def _best_pairs(samples: Samples, excess: Float64Array) -> _Answers:
    order = np.lexsort((excess, samples.answer))
    best = order[np.flatnonzero(np.diff(samples.answer[order], append=-1))]
    right = samples.right[best]
    if min(right.sum(), (~right).sum()) < _MIN_ANSWERS:
        raise UsageError(
            f"too few answers to fit a calibration: {int(right.sum())} right and {int((~right).sum())} "
            f"wrong ones, expected {_MIN_ANSWERS} of each; take more videos or more transforms"
        )
    return _Answers(
        right, samples.absent[samples.answer[best]], excess[best], log_length(samples.seconds[best])
    )


def _logistic(answers: _Answers) -> tuple[float, float, float, float]:
    """Slope, intercept, weight of the length (none below 0), and mean log loss."""
    design = np.stack([answers.excess, np.ones(len(answers.excess)), answers.length], axis=1)
    for columns in ([0, 1, 2], [0, 1]):
        weights, loss = _newton(design[:, columns], answers.right.astype(float))
        if len(columns) < 3 or weights[2] >= 0:
            break
    length_weight = float(weights[2]) if len(weights) == 3 else 0.0
    return float(weights[0]), float(weights[1]), length_weight, loss


def _newton(design: Float64Array, right: Float64Array) -> tuple[Float64Array, float]:
    """Weights of the least loss; steps are kept short, for data that can be told apart have no
    minimum."""
    weights = np.zeros(design.shape[1])
    ridge = _RIDGE * len(right) * np.eye(len(weights))
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-np.clip(design @ weights, -30, 30)))
        gradient = design.T @ (right - p) - ridge @ weights
        hessian = (design * (p * (1 - p))[:, None]).T @ design + ridge
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step * min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-9))
    logits = design @ weights
    loss = float(np.mean(np.logaddexp(0, np.where(right > 0, -logits, logits))))
    return weights, loss


def _with_policy(calibration: Calibration, answers: _Answers, logits: Float64Array) -> Calibration:
    absent = logits[answers.absent]
    probabilities = 1 / (1 + np.exp(-absent))

    def bar(share: float, least: float) -> float:
        if not len(probabilities):
            return least
        allowed = int(share * len(probabilities))
        over = float(np.sort(probabilities)[::-1][allowed])
        return round(min(max(least, over + 1e-4), 0.999), 4)

    # Look-alikes are few, and those of the videos at hand may all be easy: what was accepted before at a
    # higher probability only is not made easier.
    copy = bar(_ACCEPTED_STRANGERS, max(0.5, calibration.copy_probability))
    review = min(bar(_REVIEWED_STRANGERS, 0.1), copy)
    return replace(calibration, copy_probability=copy, review_probability=review)
