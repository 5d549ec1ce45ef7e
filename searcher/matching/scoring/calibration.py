"""Score calibration: one logistic curve per visual backend turns a score into the probability of a
copy."""

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

# Length at which the length term of the logit is zero.
TYPICAL_SECONDS = 4.0
_MIN_SECONDS, _MAX_SECONDS = 0.25, 16.0
# The fitted background mean has the weight of this many background scores of the query.
_PRIOR_COUNT = 6


@dataclass(frozen=True, slots=True)
class BackgroundScores:
    """The best non-matches of a query through one view: the mean of their scores, and their number."""

    mean: float = 0.0
    count: int = 0


@dataclass(frozen=True, slots=True)
class Calibration:
    """The constants of one visual backend, fitted by `storyhash evaluate calibrate`.

    probability = 1 / (1 + exp(-slope (x - midpoint) - length_weight log2(seconds / 4))), where x is
    the normalised score: the score minus the offset of its view, minus `background_weight` times
    the background shift. `views`: for each view its offset and its background mean. `certain`: no
    non-match scores higher. `copy_probability` and `review_probability` are the default policy.
    `measured`: whether the constants were fitted on real videos; if not, probabilities only rank
    matches.
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

    def view_offset(self, view: str) -> float:
        """The offset of a view; for an unknown view the largest offset."""
        known = self.views.get(view) or max(self.views.values())
        return known[0]

    def background_mean(self, view: str) -> float:
        """Mean score of non-matches through a view; for an unknown view the largest one."""
        known = self.views.get(view) or max(self.views.values(), key=lambda pair: pair[1])
        return known[1]

    def background_shift(self, view: str, background: BackgroundScores) -> float:
        """How far the query's background mean is above that of the view. It is shrunk towards 0 if there
        are few scores."""
        return float(shrinkage(np.array(float(background.count)))) * (
            background.mean - self.background_mean(view)
        )

    def normalised_score(self, score: float, view: str, background: BackgroundScores) -> float:
        """The score minus the view's offset and the weighted background shift."""
        return (
            score
            - self.view_offset(view)
            - self.background_weight * self.background_shift(view, background)
        )

    def logit(self, normalised_score: float, seconds: float) -> float:
        """Log odds that a match of this length with this normalised score is a copy."""
        length = float(log_length(np.array(seconds)))
        return self.slope * (normalised_score - self.midpoint) + self.length_weight * length

    def probability(self, normalised_score: float, seconds: float = TYPICAL_SECONDS) -> float:
        """Probability that a match is a copy."""
        return probability_of(self.logit(normalised_score, seconds))


def log_length(seconds: Float64Array) -> Float64Array:
    """float64 (...): log2(seconds / TYPICAL_SECONDS), with seconds clipped."""
    return np.log2(np.clip(seconds, _MIN_SECONDS, _MAX_SECONDS) / TYPICAL_SECONDS)


def shrinkage(count: Float64Array) -> Float64Array:
    """float64 (...), 0 to 1: the weight of a background mean of `count` scores; the rest is the fitted
    mean's."""
    return count / (count + _PRIOR_COUNT)


def probability_of(logit: float) -> float:
    """1 / (1 + exp(-logit))."""
    return 1.0 / (1.0 + math.exp(min(-logit, 700.0)))


def load_calibration(visual: str, path: Path | None = None) -> Calibration:
    """The calibration of a visual backend: the built-in one, or one from a file of the same form. It does
    not depend on the tracker, because the tracker's share of a vector is only 2.8 %.

    Raises UsageError if the file is unusable or lacks the backend, KeyError if there is no built-in one.
    """
    if path is None:
        text = (files("searcher.matching.scoring") / "calibrations.json").read_text(
            encoding="utf-8"
        )
        return from_json(json.loads(text)[visual])
    try:
        calibrations = json.loads(path.read_text(encoding="utf-8"))
        if visual in calibrations:
            return from_json(calibrations[visual])
        reason = f"it says nothing of {visual}"
    except OSError as error:
        reason = str(error.strerror)
    except KeyError as error:
        reason = f"{error} is missing"
    except (ValueError, TypeError) as error:
        reason = f"{error}"
    raise UsageError(
        f"{path}: no calibration ({reason}); write one with `storyhash evaluate calibrate`"
    )


def from_json(constants: Mapping[str, object]) -> Calibration:
    """A calibration from JSON values. Raises KeyError, TypeError or ValueError if a field is missing,
    unknown or of a wrong type."""
    fields = dict(constants)
    views = fields.pop("views")
    if not isinstance(views, Mapping):
        raise TypeError(f"views: expected an object, got {type(views).__name__}")
    pairs = {name: (float(price), float(usual)) for name, (price, usual) in views.items()}
    return Calibration(views=pairs, **fields)  # type: ignore[arg-type]
