"""Applies the policy of a bank: turns probabilities into decisions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from common.settings import MatchingSettings, PolicySettings
from common.types import Match
from searcher.decisions import Decision
from searcher.matching.scoring.calibration import Calibration

_STRENGTH: dict[Decision, int] = {"no_match": 0, "review": 1, "copy": 2}


@dataclass(frozen=True, slots=True)
class Policy:
    """The thresholds of a bank. Matches at or above these probabilities are copies or go to review, if
    together they last at least `min_seconds` and cover at least the fraction `min_coverage` of the query.
    Raises ValueError for thresholds in the wrong order."""

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

    @property
    def review_limit(self) -> float:
        """Highest probability of a match that a person must see: the middle of the two thresholds, and
        below copy_probability if they are equal."""
        middle = (self.copy_probability + self.review_probability) / 2
        return min(middle, math.nextafter(self.copy_probability, 0.0))

    def decide(self, matches: Sequence[Match], query_seconds: float) -> list[Decision]:
        """The decisions on all matches of one video. If the copies together are too short but all matches
        worth a review are long enough, the copies go to review."""
        copies = self._suffices(matches, self.copy_probability, query_seconds)
        reviews = self._suffices(matches, self.review_probability, query_seconds)
        decisions: list[Decision] = []
        for match in matches:
            decision = self.decide_probability(match.probability)
            if decision == "copy" and not copies:
                decision = "review"
            decisions.append(decision if copies or reviews else "no_match")
        return decisions

    def _suffices(
        self, matches: Iterable[Match], least_probability: float, query_seconds: float
    ) -> bool:
        """Whether the matches with at least this probability are long enough together."""
        seconds = covered_seconds(
            (match.query_start_seconds, match.query_end_seconds)
            for match in matches
            if match.probability >= least_probability
        )
        # Ranges and the length of the query are rounded differently.
        slack = 1e-6
        return (
            seconds >= self.min_seconds - slack
            and seconds >= self.min_coverage * query_seconds - slack
        )

    def decide_probability(self, probability: float) -> Decision:
        """The decision on a match if the matches are long enough."""
        if probability >= self.copy_probability:
            return "copy"
        return "review" if probability >= self.review_probability else "no_match"


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of single banks, and the default policy of all others."""

    default: Policy
    banks: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, bank: str) -> Policy:
        return self.banks.get(bank, self.default)

    @property
    def least_probability(self) -> float:
        """The lowest review threshold of all banks. Matches below it are no_match in every bank."""
        return min(one.review_probability for one in (self.default, *self.banks.values()))


def default_policy(calibration: Calibration) -> Policy:
    """The default policy of a calibration."""
    return Policy(calibration.copy_probability, calibration.review_probability)


def policies(calibration: Calibration, settings: MatchingSettings) -> Policies:
    """The policies in force. Settings override the calibration, and a bank overrides the default.

    Raises ValueError if review_probability is above copy_probability.
    """
    default = overridden(default_policy(calibration), settings.policy)
    own = {bank: overridden(default, chosen) for bank, chosen in settings.banks.items()}
    return Policies(default, own)


def overridden(base: Policy, own: PolicySettings) -> Policy:
    """The policy with the thresholds that are set. Raises ValueError if review_probability is above
    copy_probability."""

    def value(name: str) -> float:
        set_to = getattr(own, name)
        return float(getattr(base, name) if set_to is None else set_to)

    copy = value("copy_probability")
    # If a bank lowers only copy_probability, review_probability is lowered too, because it cannot be
    # higher.
    review = value("review_probability")
    if own.review_probability is None:
        review = min(review, copy)
    return Policy(copy, review, value("min_seconds"), value("min_coverage"))


LEAST_UNCOVERED_SECONDS = 3.0
"""A shorter part of a query beside copies is seldom more than a fade or a title. The moments of a second
pass are as far apart."""


def covered_seconds(intervals: Iterable[tuple[float, float]]) -> float:
    """Seconds that the intervals (start, end) cover together."""
    covered, end = 0.0, -math.inf
    for start, stop in sorted(intervals):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return covered


def strongest(decisions: Iterable[Decision]) -> Decision:
    """The strongest decision; no_match if there are none."""
    return max(decisions, key=_STRENGTH.__getitem__, default="no_match")


def is_stronger(decision: Decision, other: Decision) -> bool:
    """Whether a decision is stronger than another one."""
    return _STRENGTH[decision] > _STRENGTH[other]
