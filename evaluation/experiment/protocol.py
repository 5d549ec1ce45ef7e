"""Queries asked of catalogues: who answers is one thing, what the answers are worth another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from evaluation.data.datasets import DatasetVideo, halves
from evaluation.data.feature_cache import CachedQuery
from evaluation.data.records import Catalogue, QueryRow, Relation, ScoredMatch

REAL = "real"


@dataclass(frozen=True, slots=True)
class Query:
    """One query and the truth about it. `transform` of a video as it is: `copy` where others made
    copies of it, else `lookalike`."""

    video: DatasetVideo
    transform: str
    group: str
    fold: int
    load: Callable[[], CachedQuery]


class Method(Protocol):
    """Whatever can be asked: a matcher under a configuration, or a baseline."""

    @property
    def name(self) -> str:
        """The configuration, as rows name it."""
        ...

    def answer(
        self, query: Query, seen: CachedQuery, names: frozenset[str]
    ) -> tuple[ScoredMatch, ...]:
        """The matches among these videos, best first, the query's own video among the non-matches
        of none: for a video asked as it is (group `real`) it is left out."""
        ...


@dataclass(frozen=True)
class Dataset:
    """Who the videos are to one another, and how they are divided."""

    videos: Mapping[str, DatasetVideo]
    half: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "half", halves(list(self.videos.values())))

    @classmethod
    def of(cls, videos: Sequence[DatasetVideo]) -> Dataset:
        return cls({video.video_id: video for video in videos})

    def catalogues(self, query: Query) -> Iterator[tuple[Catalogue, frozenset[str]]]:
        """What a query is asked of: every video, the half with its family, the half without. A look-alike
        as it is is asked of all that is not its family."""
        every = frozenset(self.videos)
        if query.group == REAL and query.transform == "lookalike":
            mine = query.video.family
            yield "without", frozenset(n for n in every if self.videos[n].family != mine)
            return
        half = self.half[query.video.video_id]
        same = frozenset(name for name in every if self.half[name] == half)
        yield "all", every
        yield "with", same
        if query.group != REAL:
            yield "without", every - same

    def relation(self, video: DatasetVideo, other_id: str, partners: Sequence[str]) -> Relation:
        """What a video is to a query made of `video`; a true copy of a partner is a partner too."""
        other = self.videos[other_id]
        if other_id == video.video_id:
            return "self"
        if other.family == video.family:
            return "copy"
        if other.family in {self.videos[name].family for name in partners}:
            return "partner"
        if other.lookalike_group and other.lookalike_group == video.lookalike_group:
            return "lookalike"
        return "stranger"


def ask(
    queries: Iterable[Query], dataset: Dataset, method: Method, profile: str
) -> Iterator[QueryRow]:
    """A row for each query and catalogue."""
    for query in queries:
        seen = query.load()
        for catalogue, names in dataset.catalogues(query):
            yield QueryRow(
                configuration=method.name,
                profile=profile,
                catalogue=catalogue,
                transform=query.transform,
                group=query.group,
                video_id=query.video.video_id,
                family=query.video.family,
                fold=query.fold,
                duration_seconds=seen.query.duration_seconds,
                error=seen.error,
                pieces=seen.pieces,
                matches=() if seen.error else method.answer(query, seen, names),
            )
