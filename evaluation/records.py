"""The rows that a run writes, and that every measure, table and figure reads: one per query and
catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Relation: TypeAlias = Literal["self", "copy", "partner", "lookalike", "stranger"]
"""How a video of the catalogue relates to the query: its source (`self`), a true copy of the source made
by other people (`copy`), another video inserted into the query (`partner`: neither right nor wrong), a
look-alike that is no copy (`lookalike`), or any other non-match (`stranger`)."""

Catalogue: TypeAlias = Literal["all", "with", "without"]
"""Which videos were searched: all, the half with the query's family, or the half without it."""


@dataclass(frozen=True, slots=True)
class CopiedRange:
    """A range of the query that shows a range of its source, in seconds.

    in_order: false if the range runs backwards or was shuffled, so that times of the query and of the
    reference do not correspond.
    """

    query_start_seconds: float
    query_end_seconds: float
    ref_start_seconds: float
    ref_end_seconds: float
    in_order: bool = True


@dataclass(frozen=True, slots=True)
class ScoredMatch:
    """One match of an answer, with the relation of the matched video to the query.

    probability: not rounded; matches are ordered by it. similarity: raw inner product of the matched
    vectors. decision: of the default policy.
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
    """One query in one catalogue under one configuration, with its answer.

    video_id: the query's source; family: the source and its true copies; group: of the transform,
    `paper`, `photometric`, `composed`, `temporal`, `hard`, `real` (an unedited duplicate or look-alike,
    transform `copy` or `lookalike`) or `lookalike` (a video of a folder of look-alikes, transform
    `made_lookalike`). fold: 0 to 4; the calibration was fitted on the other four. error:
    why the query could not be made or read; it then counts as a miss. matches: best first, possibly
    several per video: of every right video and partner, and of the best wrong videos.
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

    @property
    def distractors(self) -> int:
        """The number of distractor segments beside the catalogue, from a name such as `full+10000`."""
        return int(self.configuration.rpartition("+")[2]) if "+" in self.configuration else 0
