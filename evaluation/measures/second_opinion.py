"""What a second profile adds to a first one, from the rows of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from evaluation.measures.pairing import by_query
from evaluation.measures.relevance import answer
from evaluation.records import QueryRow, ScoredMatch
from searcher.matching.second_opinion import LEAST_COPY_PROBABILITY


def with_second_opinion(
    first: Iterable[QueryRow], second: Iterable[QueryRow]
) -> Iterator[tuple[QueryRow, QueryRow, QueryRow]]:
    """The queries that both profiles have: the row of the first, of the second, and of both together.

    Together means that the second profile is asked where the first decides that no video is a copy. Its
    matches are then added to those of the first. Each profile keeps its own thresholds, but a copy that
    only the second one finds needs LEAST_COPY_PROBABILITY, as in `storyhash match`. A query that
    failed with one profile has the answer of the other. Raises UsageError if a query has two rows in one
    profile.
    """
    seconds = by_query(second)
    for key, row in by_query(first).items():
        other = seconds.get(key)
        if other is not None:
            yield row, other, _together(row, other)


def _together(first: QueryRow, second: QueryRow) -> QueryRow:
    matches = answer(first)
    if not any(match.decision == "copy" for match in matches):
        matches = (*matches, *map(_surely, answer(second)))
    return replace(
        first,
        profile=f"{first.profile}, then {second.profile}",
        error=first.error and second.error,
        matches=tuple(sorted(matches, key=lambda match: -match.probability)),
    )


def _surely(match: ScoredMatch) -> ScoredMatch:
    """The match with the decision that it has as a second opinion."""
    if match.decision == "copy" and match.probability < LEAST_COPY_PROBABILITY:
        return replace(match, decision="review")
    return match
