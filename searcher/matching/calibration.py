"""From a score to the probability of being a copy: a logistic curve, frozen per profile and versioned."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Calibration:
    """The constants of one profile.

    probability = 1 / (1 + exp(-slope (x - midpoint))) with x the score less what its view costs and
    less by how much the query's background exceeds `background`. `floor`: similarities below it are
    no evidence. `copy_probability` and `review_probability` are the default policy.
    """

    version: str
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


def load_calibration(profile: str) -> Calibration:
    """The calibration that ships for a profile. Raises KeyError for a profile that has none."""
    text = (files("searcher.matching") / "calibrations.json").read_text(encoding="utf-8")
    return Calibration(**json.loads(text)[profile])
