"""From evidence to the probability of being a copy: a logistic curve, versioned, one a visual backend."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from common.errors import UsageError
from common.types import Float64Array

# A match of so many seconds is neither more nor less to be believed for its length.
USUAL_SECONDS = 4.0
_MIN_SECONDS, _MAX_SECONDS = 0.25, 16.0
# What strangers usually are counts as so many of this query's.
_PRIOR_COUNT = 6


@dataclass(frozen=True, slots=True)
class Strangers:
    """The videos that are most like a query, through one view, without being copies of it: how many
    there were, and the mean of their scores."""

    mean: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The constants of one visual backend, fitted by `storyhash evaluate calibrate`.

    probability = 1 / (1 + exp(-slope (x - midpoint) - length_weight log2(seconds / 4))), with x the score
    less what its view costs and less `background_weight` times by how much this query's strangers are
    more alike than strangers usually are. `views`: for each view its price and the usual similarity of
    strangers. `certain`: similarities above it are no strangers'. `copy_probability` and
    `review_probability` are the default policy. `measured`: whether the constants were fitted on real
    copies and strangers; where they were not, probabilities order matches and say no more.
    """

    version: str
    measured: bool
    midpoint: float
    slope: float
    length_weight: float
    background_weight: float
    certain: float
    views: Mapping[str, tuple[float, float]]
    copy_probability: float
    review_probability: float

    def price(self, view: str) -> float:
        """What a score through a view costs; one that is not known costs as much as the dearest."""
        known = self.views.get(view) or max(self.views.values())
        return known[0]

    def usual(self, view: str) -> float:
        """How similar strangers usually are through a view."""
        known = self.views.get(view) or max(self.views.values(), key=lambda pair: pair[1])
        return known[1]

    def lift(self, view: str, strangers: Strangers) -> float:
        """By how much a query's strangers are more alike than strangers usually are; what a few of them
        say is drawn towards nothing."""
        return float(trust_of(np.array(float(strangers.count)))) * (
            strangers.mean - self.usual(view)
        )

    def excess(self, score: float, view: str, strangers: Strangers) -> float:
        """A score less all that it costs."""
        return score - self.price(view) - self.background_weight * self.lift(view, strangers)

    def logit(self, excess: float, seconds: float) -> float:
        """Logarithm of the odds that a match of so many seconds with this priced score is a copy."""
        length = float(length_of(np.array(seconds)))
        return self.slope * (excess - self.midpoint) + self.length_weight * length

    def probability(self, excess: float, seconds: float = USUAL_SECONDS) -> float:
        """Probability that it is one."""
        return probability_of(self.logit(excess, seconds))


def length_of(seconds: Float64Array) -> Float64Array:
    """float64 (...): log2 of matched seconds against the usual ones, bounded both ways."""
    return np.log2(np.clip(seconds, _MIN_SECONDS, _MAX_SECONDS) / USUAL_SECONDS)


def trust_of(count: Float64Array) -> Float64Array:
    """float64 (...), 0 to 1: how far so many strangers are believed against what is usual."""
    return count / (count + _PRIOR_COUNT)


def probability_of(logit: float) -> float:
    """1 / (1 + exp(-logit))."""
    return 1.0 / (1.0 + math.exp(min(-logit, 700.0)))


def load_calibration(visual: str, path: Path | None = None) -> Calibration:
    """The calibration for the profiles of a visual backend: what a vector shows decides its scale, of
    which the tracker's share is 2.8 %. It is the one that ships, or that of a file in the same form.

    Raises UsageError for a file that cannot be used or says nothing of the backend, KeyError where none
    ships for it.
    """
    if path is None:
        text = (files("searcher.matching") / "calibrations.json").read_text(encoding="utf-8")
        return from_json(json.loads(text)[visual])
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if visual in held:
            return from_json(held[visual])
        reason = f"it says nothing of {visual}"
    except OSError as error:
        reason = str(error.strerror)
    except (ValueError, TypeError) as error:
        reason = f"{error}"
    raise UsageError(
        f"{path}: no calibration ({reason}); write one with `storyhash evaluate calibrate`"
    )


def from_json(held: Mapping[str, object]) -> Calibration:
    """Raises TypeError or ValueError for fields that are missing, unknown or of another kind."""
    fields = dict(held)
    views = fields.pop("views")
    if not isinstance(views, Mapping):
        raise TypeError(f"views: expected an object, got {type(views).__name__}")
    pairs = {name: (float(price), float(usual)) for name, (price, usual) in views.items()}
    return Calibration(views=pairs, **fields)  # type: ignore[arg-type]
