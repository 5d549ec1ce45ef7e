"""Decides on a match by the policy of its bank."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from common.settings import MatchingSettings, PolicySettings
from common.types import Match
from searcher.matching.calibration import Calibration

Decision: TypeAlias = Literal["copy", "review", "no_match"]
_STRENGTH: dict[Decision, int] = {"no_match": 0, "review": 1, "copy": 2}


@dataclass(frozen=True, slots=True)
class Policy:
    """Matches at or above these probabilities are copies or go to review. Matches that are shorter
    than `min_seconds` or cover less than `min_coverage` of the query are neither."""

    copy_probability: float
    review_probability: float
    min_seconds: float = 0.0
    min_coverage: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.review_probability <= self.copy_probability <= 1:
            raise ValueError(
                "policy: expected 0 <= review_probability <= copy_probability <= 1, got "
                f"{self.review_probability} and {self.copy_probability}"
            )

    def decide(self, match: Match) -> Decision:
        """The decision on one match."""
        seconds = match.query_end_seconds - match.query_start_seconds
        if seconds < self.min_seconds or match.coverage < self.min_coverage:
            return "no_match"
        return self.decide_probability(match.probability)

    def decide_probability(self, probability: float) -> Decision:
        """The decision on a match that is long enough."""
        if probability >= self.copy_probability:
            return "copy"
        return "review" if probability >= self.review_probability else "no_match"


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of single banks, and the default of all others."""

    default: Policy
    banks: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, bank: str) -> Policy:
        return self.banks.get(bank, self.default)

    @property
    def least_probability(self) -> float:
        """A match that is less probable is no match in any bank."""
        return min(one.review_probability for one in (self.default, *self.banks.values()))


def default_policy(calibration: Calibration) -> Policy:
    """The policy a profile ships with."""
    return Policy(calibration.copy_probability, calibration.review_probability)


def policies(calibration: Calibration, settings: MatchingSettings) -> Policies:
    """The policies in force: settings override the calibration, a bank overrides the default.

    Raises ValueError if review_probability is above copy_probability.
    """
    default = _with(default_policy(calibration), settings.policy)
    return Policies(default, {bank: _with(default, own) for bank, own in settings.banks.items()})


def _with(base: Policy, own: PolicySettings) -> Policy:
    def value(name: str) -> float:
        set_to = getattr(own, name)
        return float(getattr(base, name) if set_to is None else set_to)

    copy = value("copy_probability")
    # If a bank only lowers copy_probability, review_probability follows, as it cannot be higher.
    review = value("review_probability")
    if own.review_probability is None:
        review = min(review, copy)
    return Policy(copy, review, value("min_seconds"), value("min_coverage"))


def strongest(decisions: Iterable[Decision]) -> Decision:
    """The strongest decision of the matches; no_match if there are none."""
    return max(decisions, key=_STRENGTH.__getitem__, default="no_match")
