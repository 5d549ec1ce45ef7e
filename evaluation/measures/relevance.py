"""Which matches of an answer are right, which are wrong, and their order.

All measures use these rules:

- The video that the query was made of is right, and so is a true copy of it. An unedited query (group
  `real`) is not in the catalogue itself, so only a copy of it is right.
- Non-matches and look-alikes are wrong. A partner (another video inserted into the query) is neither,
  and is removed first.
- Matches are ordered by probability and, if equal (it may saturate at 1.0), by similarity. If both are
  equal, the wrong match comes first.
- A row with an error has no answer: it is a miss if a copy was to be found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

from evaluation.records import QueryRow, ScoredMatch

Score: TypeAlias = tuple[float, float]
"""(probability, similarity), compared in that order."""

NON_MATCHES = ("stranger", "lookalike")
"""The relations of wrong videos."""

NOT_FOUND: Score = (-math.inf, -math.inf)
"""The score of a video that is not in the answer; lower than any match."""


def score_of(match: ScoredMatch | None) -> Score:
    """The score of a match, NOT_FOUND for None."""
    return NOT_FOUND if match is None else (match.probability, match.similarity)


def answer(row: QueryRow) -> tuple[ScoredMatch, ...]:
    """The row's matches; none where the query failed."""
    return () if row.error else row.matches


def is_right(row: QueryRow, match: ScoredMatch) -> bool:
    """Whether the matched video is the query's source or a true copy of it."""
    return match.relation == "copy" or (match.relation == "self" and row.group != "real")


def is_wrong(match: ScoredMatch) -> bool:
    """Whether the matched video is a non-match or a look-alike."""
    return match.relation in NON_MATCHES


def expects_copy(row: QueryRow) -> bool:
    """Whether the catalogue holds a right video; it never does for an unedited look-alike."""
    return row.catalogue != "without" and not is_lookalike(row)


def is_lookalike(row: QueryRow) -> bool:
    """Whether the query is an unedited look-alike, of the videos or of a folder of look-alikes."""
    return (row.group, row.transform) in (("real", "lookalike"), ("lookalike", "made_lookalike"))


def right_matches(row: QueryRow) -> list[ScoredMatch]:
    """All matches of right videos."""
    return [match for match in answer(row) if is_right(row, match)]


def wrong_matches(row: QueryRow) -> list[ScoredMatch]:
    """All matches of non-matches and look-alikes."""
    return [match for match in answer(row) if is_wrong(match)]


def best(matches: Iterable[ScoredMatch]) -> ScoredMatch | None:
    """The match with the highest score, None if there is none."""
    return max(matches, key=score_of, default=None)


def best_right(row: QueryRow) -> ScoredMatch | None:
    """The best match of a right video."""
    return best(right_matches(row))


def best_wrong(row: QueryRow) -> ScoredMatch | None:
    """The best match of a non-match or look-alike."""
    return best(wrong_matches(row))


def best_of_each_video(matches: Iterable[ScoredMatch]) -> list[ScoredMatch]:
    """The best match of each video, in the order of their first appearance."""
    best_matches: dict[str, ScoredMatch] = {}
    for match in matches:
        best = best_matches.get(match.video_id)
        if best is None or score_of(match) > score_of(best):
            best_matches[match.video_id] = match
    return list(best_matches.values())


def rank_of_right(row: QueryRow) -> int | None:
    """The rank of the best right video, from 1: one more than the number of wrong videos that score at
    least as high. None if no right video was found."""
    right = best_right(row)
    if right is None:
        return None
    score = score_of(right)
    return 1 + len({match.video_id for match in wrong_matches(row) if score_of(match) >= score})


def positives(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """Open set: the rows whose catalogue holds a right video. Failed queries count as misses."""
    return [row for row in rows if row.catalogue == "with" and expects_copy(row)]


def negatives(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """Open set: the rows whose catalogue holds no right video. Failed queries are excluded: they would
    only dilute the share of accepted non-matches."""
    return [
        row for row in rows if row.catalogue != "all" and not expects_copy(row) and not row.error
    ]
