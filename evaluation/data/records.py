"""What a run writes and every measure, table and figure reads: one row for each query asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Relation: TypeAlias = Literal["self", "copy", "partner", "lookalike", "stranger"]
"""What a video of the catalogue is to the query: the video it was made of (`self`), a true copy of that
made by others (`copy`), a video that was put into the query next to it (`partner`: neither right nor
wrong), a look-alike of it that is no copy (`lookalike`), or any other (`stranger`)."""

Catalogue: TypeAlias = Literal["all", "with", "without"]
"""Which catalogue was asked: every video, the half that holds the query's family, or the half without."""


@dataclass(frozen=True, slots=True)
class CopiedRange:
    """A stretch of the query that shows a stretch of the video it was made of, in seconds.

    in_order: false where the stretch runs backwards or was shuffled, so that a time of the query does not
    follow from a time of the reference.
    """

    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    in_order: bool = True


@dataclass(frozen=True, slots=True)
class ScoredMatch:
    """One match of an answer, with what the matched video is to the query.

    probability: unrounded, decides the order. similarity: raw inner product of the matched vectors.
    `decision` is that of the default policy.
    """

    video_id: str
    relation: Relation
    probability: float
    similarity: float
    decision: str
    view: str
    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query asked of one catalogue under one configuration, and all that was answered.

    video_id: what the query was made of; family: it and its true copies; group: of the transform,
    `paper`, `photometric`, `composed`, `temporal` or `real` (a true duplicate or look-alike as it is,
    transform `copy` or `lookalike`). fold: 0 to 4; the configuration's calibration was fitted on the
    other four. error: why the query could not be made or read; it then counts as a miss. matches: best
    first, several of one video possible: of every right video and partner, and of the best wrong videos.
    """

    configuration: str
    profile: str
    catalogue: Catalogue
    transform: str
    group: str
    video_id: str
    family: str
    fold: int
    duration_seconds: float = 0.0
    error: str = ""
    pieces: tuple[CopiedRange, ...] = ()
    matches: tuple[ScoredMatch, ...] = field(default=())
