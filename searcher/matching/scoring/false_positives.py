"""How often chance alone gives a score in this catalogue: extreme values of the query's own non-matches.

The more segments a catalogue has, the higher is the best score of a query that has no copy in it. The
scores of the query's own non-matches show how high. Above a threshold they are about exponential
(J. Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3, 1975), so
the spacings i (x_i - x_(i+1)) of the scores in descending order are independent with one mean, the scale
(A. Renyi, 1953). This holds without the first ranks, which may be copies. Then the number of non-matches
above a score s is Poisson with mean r exp(-(s - x_r) / scale), where x_r is the score of the last rank r.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from common.types import Float64Array
from searcher.matching.scoring.calibration import BackgroundScores, Calibration

# Fewer scores do not show a scale; a smaller scale is rounding.
_LEAST_SCORES, _LEAST_SCALE = 8, 1e-3


@dataclass(frozen=True, slots=True)
class ScoreTail:
    """The upper tail of a query's non-matches through one view. rank, last: the last rank that was used,
    and its score. scale: mean excess over a score, in units of the score."""

    rank: int
    last: float
    scale: float

    @classmethod
    def of(cls, scores: Float64Array, skipped: int) -> ScoreTail | None:
        """scores: float64 (n,), in descending order, after the first `skipped` ranks. None if there are
        too few."""
        if len(scores) < _LEAST_SCORES:
            return None
        ranks = skipped + 1 + np.arange(len(scores) - 1)
        scale = float(np.mean(-np.diff(scores) * ranks))
        return cls(skipped + len(scores), float(scores[-1]), max(scale, _LEAST_SCALE))

    def expected(self, score: float) -> float:
        """Expected number of non-matches with at least this score."""
        return self.rank * math.exp(min((self.last - score) / self.scale, 50.0))


@dataclass(frozen=True, slots=True)
class ChanceScores:
    """The tails and backgrounds of a query, by view."""

    tails: Mapping[str, ScoreTail]
    backgrounds: Mapping[str, BackgroundScores]
    calibration: Calibration

    def rate(self, score: float, view: str) -> float | None:
        """The probability that the best non-match, through any view, gets at least the normalised score
        that `score` has through `view`; None if that view has too few non-matches to tell.

        It is an upper bound: the tails are of single windows, and a match needs several.
        """
        if view not in self.tails:
            return None
        wanted = self.calibration.normalised_score(score, view, self.backgrounds[view])
        expected = 0.0
        for name, tail in self.tails.items():
            # The score through this view that has the same normalised score.
            shift = self.calibration.normalised_score(0.0, name, self.backgrounds[name])
            expected += tail.expected(wanted - shift)
        return -math.expm1(-expected)
