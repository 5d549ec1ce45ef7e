"""How exceptions change decisions. Input and output are ranges as in the JSON of a match report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.state.exceptions import StoredException
from searcher.matching.policy import Policy, covered_seconds, strongest

# A range of which only this much is not excepted is no match: the ends that localisation finds are exact
# to half a second each.
_REST_SECONDS = 1.0
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Ruling:
    """The decision on each range, and the exceptions that cover (part of) it."""

    decisions: list[str]
    exceptions: list[list[StoredException]]

    @property
    def decision(self) -> str:
        """The strongest decision."""
        return strongest(self.decisions)  # type: ignore[arg-type]

    @property
    def applied(self) -> list[StoredException]:
        """All exceptions that cover anything, ordered by id."""
        found = {one.id: one for some in self.exceptions for one in some}
        return [found[number] for number in sorted(found)]


def rule(
    ranges: Sequence[Mapping[str, Any]],
    exceptions: Sequence[StoredException],
    *,
    fingerprint: str,
    bank: str,
    policy: Policy,
    query_seconds: float,
) -> Ruling:
    """The decisions on the ranges of one query in one reference.

    ranges: with the decisions that the matcher made. exceptions: of this reference. bank: of the
    reference; exceptions of another bank are left from an earlier video with its id, and do not count.
    """
    ours = [one for one in exceptions if one.bank == bank]
    pairs = [one for one in ours if one.kind == "pair" and one.fingerprint == fingerprint]
    if pairs:
        return Ruling(["no_match"] * len(ranges), [pairs[:1]] * len(ranges))
    excepted = [one for one in ours if one.kind == "range"]
    parts = [_Part.of(found, excepted) for found in ranges]
    decisions = [part.decision for part in parts]
    if any(part.exceptions for part in parts):
        decisions = _long_enough(parts, decisions, policy, query_seconds)
    return Ruling(decisions, [part.exceptions for part in parts])


@dataclass(frozen=True, slots=True)
class _Part:
    """One range. rest: intervals of the query, seconds, whose counterpart in the reference is not
    excepted."""

    decision: str
    exceptions: list[StoredException]
    rest: list[tuple[float, float]]

    @classmethod
    def of(cls, found: Mapping[str, Any], excepted: Iterable[StoredException]) -> _Part:
        start, end = found["ref_start_seconds"], found["ref_end_seconds"]
        over = [one for one in excepted if _seconds(one)[0] < end and _seconds(one)[1] > start]
        if start == end:
            over = [one for one in excepted if _seconds(one)[0] <= start <= _seconds(one)[1]]
        query = found["query_start_seconds"], found["query_end_seconds"]
        if not over or found["decision"] == "no_match":
            return cls(found["decision"], over, [query])
        free = _without((start, end), [_seconds(one) for one in over])
        left = covered_seconds(free)
        decision = found["decision"]
        if left <= _REST_SECONDS + _SLACK:
            decision = "no_match"
        elif decision == "copy" and left < (end - start) / 2:
            decision = "review"
        # The tempo is constant within a range.
        tempo = (query[1] - query[0]) / (end - start) if end > start else 0.0
        rest = [(query[0] + tempo * (a - start), query[0] + tempo * (b - start)) for a, b in free]
        return cls(decision, over, rest)


def _long_enough(
    parts: Sequence[_Part], decisions: Sequence[str], policy: Policy, query_seconds: float
) -> list[str]:
    """The decisions where what is not excepted must be as long as the bank's policy demands."""
    least = max(policy.min_seconds, policy.min_coverage * query_seconds) - _SLACK

    def suffice(*wanted: str) -> bool:
        judged = zip(parts, decisions, strict=True)
        rest = [at for part, decision in judged if decision in wanted for at in part.rest]
        return covered_seconds(rest) >= least

    if suffice("copy"):
        return list(decisions)
    if suffice("copy", "review"):
        return ["review" if decision == "copy" else decision for decision in decisions]
    return ["no_match"] * len(decisions)


def _seconds(exception: StoredException) -> tuple[float, float]:
    return exception.start_seconds or 0.0, exception.end_seconds or 0.0


def _without(
    interval: tuple[float, float], excepted: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """The parts of an interval that no excepted one covers."""
    free, at = [], interval[0]
    for start, end in sorted(excepted):
        if start > at:
            free.append((at, min(start, interval[1])))
        at = max(at, end)
    if at < interval[1]:
        free.append((at, interval[1]))
    return free
