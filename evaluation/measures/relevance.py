"""What an answer says about the videos in it: which are right, which are wrong, and in what order.

Every other measure is built on these few rules:

- Right is the video the query was made of, or a true copy of it. A true duplicate that is asked as it is
  (group `real`) is not in the catalogue itself, so there only a copy is right.
- Wrong are non-matches and look-alikes. What is neither (a partner that can be seen in the query too) is
  taken out before anything is counted.
- Matches are ordered by probability and, where that is equal (it may saturate at 1.0), by similarity.
  Where both are equal the wrong one is put first.
- A row with an error has no answer: a miss where a copy was to be found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

from evaluation.data.records import QueryRow, ScoredMatch

Score: TypeAlias = tuple[float, float]
"""(probability, similarity), compared in that order."""

NOT_FOUND: Score = (-math.inf, -math.inf)
"""The score of a video that is not in the answer: below every match."""


def score_of(found: ScoredMatch | None) -> Score:
    """The score of a match, NOT_FOUND for none."""
    return NOT_FOUND if found is None else (found.probability, found.similarity)


def answer(row: QueryRow) -> tuple[ScoredMatch, ...]:
    """The row's matches; none where the query failed."""
    return () if row.error else row.matches


def is_right(row: QueryRow, found: ScoredMatch) -> bool:
    """Whether the matched video is what the query is a copy of."""
    return found.relation == "copy" or (found.relation == "self" and row.group != "real")


def is_wrong(found: ScoredMatch) -> bool:
    """Whether the matched video is a non-match or a look-alike."""
    return found.relation in ("stranger", "lookalike")


def expects_copy(row: QueryRow) -> bool:
    """Whether a right video is in the catalogue that was asked: none is for a look-alike as it is."""
    return row.catalogue != "without" and (row.group, row.transform) != ("real", "lookalike")


def right_matches(row: QueryRow) -> list[ScoredMatch]:
    """All matches of right videos."""
    return [found for found in answer(row) if is_right(row, found)]


def wrong_matches(row: QueryRow) -> list[ScoredMatch]:
    """All matches of non-matches and look-alikes."""
    return [found for found in answer(row) if is_wrong(found)]


def best(matches: Iterable[ScoredMatch]) -> ScoredMatch | None:
    """The match of the highest score."""
    return max(matches, key=score_of, default=None)


def best_right(row: QueryRow) -> ScoredMatch | None:
    """The best match of a right video."""
    return best(right_matches(row))


def best_wrong(row: QueryRow) -> ScoredMatch | None:
    """The best match of a non-match or look-alike."""
    return best(wrong_matches(row))


def best_of_each_video(matches: Iterable[ScoredMatch]) -> list[ScoredMatch]:
    """One match for each video, its best, in the order the videos first appear."""
    found: dict[str, ScoredMatch] = {}
    for match in matches:
        known = found.get(match.video_id)
        if known is None or score_of(match) > score_of(known):
            found[match.video_id] = match
    return list(found.values())


def rank_of_right(row: QueryRow) -> int | None:
    """The place of the best right video, 1 for the first: one more than the wrong videos that score at
    least as high. None where no right video was found."""
    right = best_right(row)
    if right is None:
        return None
    bar = score_of(right)
    return 1 + len({found.video_id for found in wrong_matches(row) if score_of(found) >= bar})


def positives(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """Open set: the rows whose catalogue holds a right video. Failed queries are among them, as
    misses."""
    return [row for row in rows if row.catalogue == "with" and expects_copy(row)]


def negatives(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """Open set: the rows whose catalogue holds no right video. A failed query proves nothing about
    non-matches and would only dilute the share of those accepted, so it is left out."""
    return [
        row for row in rows if row.catalogue != "all" and not expects_copy(row) and not row.error
    ]
