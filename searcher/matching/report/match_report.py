"""The match report of one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from common.types import Match
from searcher.decisions import Decision
from searcher.matching.retrieval.candidate_order import LISTED_CANDIDATES
from searcher.matching.scoring.policy import Policies, strongest

# Maximum number of videos without a match that a report lists.
MAX_LISTED_CANDIDATES = 5

Judged: TypeAlias = tuple[Match, Decision]
"""A run and the decision on it."""


@dataclass(frozen=True, slots=True)
class MatchReport:
    """The report of one query. matches: copies and matches to review, best first, with a decision each.

    rest: all other runs of the best videos, best first; their decision is no_match. reason: why the query
    cannot match anything. damaged: which part could not be decoded. truncated: what was not compared or
    kept because of a limit. All three are usually empty.
    """

    uri: str
    duration_seconds: float
    model_id: str
    matches: tuple[Match, ...]
    decisions: tuple[Decision, ...]
    reason: str = ""
    damaged: str = ""
    truncated: str = ""
    rest: tuple[Match, ...] = ()

    @property
    def candidates(self) -> tuple[Match, ...]:
        """The best run of each video without a match, best first; at most MAX_LISTED_CANDIDATES."""
        matched = {match.video_id for match in self.matches}
        best: dict[str, Match] = {}
        for run in self.rest:
            if run.video_id not in matched:
                best.setdefault(run.video_id, run)
        return tuple(best.values())[:MAX_LISTED_CANDIDATES]

    @property
    def judged(self) -> list[Judged]:
        """The matches and the rest, best first, each with its decision."""
        both: list[Judged] = [*zip(self.matches, self.decisions, strict=True)]
        both += [(run, "no_match") for run in self.rest]
        return sorted(both, key=lambda pair: _order(pair[0]))

    def with_matches(self, runs: Sequence[Match], policies: Policies) -> MatchReport:
        """The same report over these runs, which the policies divide into matches and the rest."""
        runs = sorted(runs, key=_order)
        of_video: dict[str, list[Match]] = {}
        for run in runs:
            of_video.setdefault(run.video_id, []).append(run)
        decisions = {
            name: iter(policies.of(some[0].bank).decide(some, self.duration_seconds))
            for name, some in of_video.items()
        }
        return self.with_judged([(run, next(decisions[run.video_id])) for run in runs])

    def with_judged(self, judged: Sequence[Judged]) -> MatchReport:
        """The same report over these runs, which are divided by their decisions."""
        judged = sorted(judged, key=lambda pair: _order(pair[0]))
        nearest = list(dict.fromkeys(run.video_id for run, _ in judged))[:LISTED_CANDIDATES]
        found = [(run, decision) for run, decision in judged if decision != "no_match"]
        rest = [run for run, decision in judged if decision == "no_match"]
        return replace(
            self,
            matches=tuple(run for run, _ in found),
            decisions=tuple(decision for _, decision in found),
            rest=tuple(run for run in rest if run.video_id in nearest),
        )

    @property
    def decision(self) -> Decision:
        """The strongest of the matches' decisions."""
        return strongest(self.decisions)

    @property
    def probability(self) -> float:
        """The highest probability of all runs; 0 when there are none."""
        return max((run.probability for run in (*self.matches, *self.rest)), default=0.0)


def _order(match: Match) -> tuple[float, float, str]:
    """Sort key of matches: the most probable first."""
    return -match.probability, -match.score, match.video_id
