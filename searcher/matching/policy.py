"""From a match to a decision, by the rules of its bank."""

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
    """Probabilities from which a match is called a copy, or shown to a reviewer; one that is shorter, or
    covers a smaller share of the query, is neither."""

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
    """The policy of each bank that has its own, and that of all others."""

    default: Policy
    banks: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, bank: str) -> Policy:
        return self.banks.get(bank, self.default)


def default_policy(calibration: Calibration) -> Policy:
    """The policy a profile ships with."""
    return Policy(calibration.copy_probability, calibration.review_probability)


def policies(calibration: Calibration, settings: MatchingSettings) -> Policies:
    """The policies in force: what settings leave out comes from the calibration, then from the default.

    Raises ValueError where a bank would be reviewed at a higher probability than it is decided at.
    """
    default = _with(default_policy(calibration), settings.policy)
    return Policies(default, {bank: _with(default, own) for bank, own in settings.banks.items()})


def _with(base: Policy, own: PolicySettings) -> Policy:
    def value(name: str) -> float:
        set_to = getattr(own, name)
        return float(getattr(base, name) if set_to is None else set_to)

    copy = value("copy_probability")
    # A bank that only lowers the one moves the other along, as it cannot lie above it.
    review = value("review_probability")
    if own.review_probability is None:
        review = min(review, copy)
    return Policy(copy, review, value("min_seconds"), value("min_coverage"))


def strongest(decisions: Iterable[Decision]) -> Decision:
    """A query's decision: the strongest of its matches', no_match when there are none."""
    return max(decisions, key=_STRENGTH.__getitem__, default="no_match")
