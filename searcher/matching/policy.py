"""From a probability to a decision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from searcher.matching.calibration import Calibration

Decision: TypeAlias = Literal["copy", "review", "no_match"]
_STRENGTH: dict[Decision, int] = {"no_match": 0, "review": 1, "copy": 2}


@dataclass(frozen=True, slots=True)
class Policy:
    """Probabilities from which a match is called a copy, or shown to a reviewer."""

    copy_probability: float
    review_probability: float

    def __post_init__(self) -> None:
        if not 0 <= self.review_probability <= self.copy_probability <= 1:
            raise ValueError(
                "policy: expected 0 <= review_probability <= copy_probability <= 1, got "
                f"{self.review_probability} and {self.copy_probability}"
            )

    def decide(self, probability: float) -> Decision:
        """The decision on one match."""
        if probability >= self.copy_probability:
            return "copy"
        return "review" if probability >= self.review_probability else "no_match"


def default_policy(calibration: Calibration) -> Policy:
    """The policy a profile ships with."""
    return Policy(calibration.copy_probability, calibration.review_probability)


def strongest(decisions: Iterable[Decision]) -> Decision:
    """A query's decision: the strongest of its matches', no_match when there are none."""
    return max(decisions, key=_STRENGTH.__getitem__, default="no_match")
