"""Closed-set measures: every video is in the catalogue, so only the ranking is measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from common.types import Float64Array
from evaluation.measures.relevance import best_right, best_wrong, expects_copy, rank_of_right
from evaluation.measures.statistics import Proportion
from evaluation.records import QueryRow, ScoredMatch

SATURATION = 1e-12
"""Probabilities are clipped to this distance from 0 and 1 before their logit is computed."""


@dataclass(frozen=True, slots=True)
class Separation:
    """Scores of the right video's best match and of the best non-match, over the same rows.

    copies, non_matches: mean raw similarity, NaN without any. d_prime: of similarity;
    d_prime_logit: of the probability's logit.
    """

    copies: float
    non_matches: float
    d_prime: float
    d_prime_logit: float


def closed_set(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """Rows that search the whole catalogue and have a right video to find."""
    return [row for row in rows if row.catalogue == "all" and expects_copy(row)]


def within(row: QueryRow, k: int) -> bool:
    """Whether a right video is among the first k; partners are not counted."""
    rank = rank_of_right(row)
    return rank is not None and rank <= k


def recall_at(rows: Iterable[QueryRow], k: int) -> Proportion:
    """Recall@k over the closed-set rows: the paper's Recall@1, @3 and @5."""
    closed = closed_set(rows)
    return Proportion(sum(within(row, k) for row in closed), len(closed))


def similarities(rows: Iterable[QueryRow]) -> tuple[Float64Array, Float64Array]:
    """Similarity of the best match of the right video and of the best non-match: float64 (n,), (m,).

    Over the closed-set rows; a row that lacks one of the two adds nothing to that array.
    """
    right, wrong = _best_matches(rows)
    return _values([match.similarity for match in right]), _values(
        [match.similarity for match in wrong]
    )


def separation(rows: Sequence[QueryRow]) -> Separation:
    """How well the scores separate copies from non-matches. Mean similarity alone proves nothing,
    because a change that raises all similarities raises those of non-matches too; d' divides the
    difference by the spread."""
    right, wrong = _best_matches(rows)
    copies = _values([match.similarity for match in right])
    non_matches = _values([match.similarity for match in wrong])
    return Separation(
        copies=_mean(copies),
        non_matches=_mean(non_matches),
        d_prime=d_prime(copies, non_matches),
        d_prime_logit=d_prime(
            logit(_values([match.probability for match in right])),
            logit(_values([match.probability for match in wrong])),
        ),
    )


def _mean(values: Float64Array) -> float:
    return float(values.mean()) if len(values) else math.nan


def d_prime(signal: Float64Array, noise: Float64Array) -> float:
    """(mean of signal - mean of noise) / sqrt(mean of their variances); float64 (n,) and (m,).

    The sensitivity index for unequal variances (d_a; J. A. Swets, Science 240, 1988). NaN below two
    values on either side or when all are one value; infinite when only the means differ.
    """
    if len(signal) < 2 or len(noise) < 2:
        return math.nan
    difference = float(signal.mean() - noise.mean())
    variance = float(signal.var(ddof=1) + noise.var(ddof=1)) / 2
    if variance > 0:
        return difference / math.sqrt(variance)
    return math.copysign(math.inf, difference) if difference else math.nan


def logit(probabilities: Float64Array) -> Float64Array:
    """log(p / (1 - p)) of float64 (n,), finite at 0 and 1 (see SATURATION)."""
    clipped = np.clip(probabilities, SATURATION, 1 - SATURATION)
    return np.log(clipped) - np.log1p(-clipped)


def _best_matches(rows: Iterable[QueryRow]) -> tuple[list[ScoredMatch], list[ScoredMatch]]:
    closed = closed_set(rows)
    right = [match for row in closed if (match := best_right(row)) is not None]
    wrong = [match for row in closed if (match := best_wrong(row)) is not None]
    return right, wrong


def _values(values: list[float]) -> Float64Array:
    return np.array(values, np.float64)
