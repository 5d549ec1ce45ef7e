"""From a score to the probability of being a copy: a logistic curve, versioned, one a visual backend."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Calibration:
    """The constants of one visual backend.

    probability = 1 / (1 + exp(-slope (x - midpoint))) with x the score less what its view costs and
    less by how much the query's background exceeds `background`. `floor`: similarities below it are
    no evidence. `copy_probability` and `review_probability` are the default policy. `measured`:
    whether the constants were set on real copies and strangers; where they were not, probabilities
    order matches and say no more.
    """

    version: str
    measured: bool
    midpoint: float
    slope: float
    background: float
    floor: float
    view_prices: Mapping[str, float]
    copy_probability: float
    review_probability: float

    def probability(self, excess: float) -> float:
        """Probability that a match with this normalised score is a copy."""
        power = -self.slope * (excess - self.midpoint)
        return 1.0 / (1.0 + math.exp(min(power, 700.0)))


def load_calibration(visual: str) -> Calibration:
    """The calibration that ships for the profiles of a visual backend: what a vector shows decides
    its scale, of which the tracker's share is 2.8 %. Raises KeyError for a backend that has none."""
    text = (files("searcher.matching") / "calibrations.json").read_text(encoding="utf-8")
    return Calibration(**json.loads(text)[visual])
