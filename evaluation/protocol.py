"""The protocol: which query searches which videos, and the row of each answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from common.errors import UsageError
from evaluation.data.datasets import DatasetVideo, halves
from evaluation.data.distractors import PREFIX
from evaluation.data.feature_cache import CachedQuery
from evaluation.records import Catalogue, QueryRow, Relation, ScoredMatch

REAL = "real"
LOOKALIKE = "lookalike"
"""Groups of unedited queries: of the videos themselves, and of a folder of look-alikes."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query. The `transform` of an unedited video is `copy` if it has true copies, else
    `lookalike`; `made_lookalike` if it comes from a folder of look-alikes."""

    video: DatasetVideo
    transform: str
    group: str
    fold: int
    load: Callable[[], CachedQuery]


class Method(Protocol):
    """Something that answers queries: a matcher under a configuration, or a baseline."""

    @property
    def name(self) -> str:
        """The name of the configuration in rows."""
        ...

    def answer(
        self, query: Query, cached: CachedQuery, names: frozenset[str]
    ) -> tuple[ScoredMatch, ...]:
        """The matches among these videos, best first. An unedited query (group `real`) does not search
        its own video."""
        ...


@dataclass(frozen=True)
class Dataset:
    """The videos, their relations and their halves. lookalikes: videos that only the queries made of them
    search beside the others."""

    videos: Mapping[str, DatasetVideo]
    lookalikes: Mapping[str, DatasetVideo] = field(default_factory=dict)
    half: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "half", halves(list(self.videos.values())))

    @classmethod
    def of(cls, videos: Sequence[DatasetVideo], lookalikes: Sequence[DatasetVideo] = ()) -> Dataset:
        """Raises UsageError if a video is in both, and for an id like that of a distractor."""
        by_id = {video.video_id: video for video in videos}
        beside = {video.video_id: video for video in lookalikes}
        if both := by_id.keys() & beside.keys():
            raise UsageError(f"{min(both)}: a video and a look-alike have the same id; rename one")
        if alike := [name for name in by_id if name.startswith(PREFIX)]:
            raise UsageError(
                f"{min(alike)}: ids that begin with {PREFIX} are those of distractors; rename the folder"
            )
        return cls(by_id, beside)

    def catalogues(self, query: Query) -> Iterator[tuple[Catalogue, frozenset[str]]]:
        """The catalogues that a query searches: all videos, the half with its family, the half without
        it. An unedited look-alike searches all videos outside its family, and one of a folder of
        look-alikes the others of that folder too."""
        every = frozenset(self.videos)
        if query.group == LOOKALIKE:
            yield "without", every.union(self.lookalikes) - {query.video.video_id}
            return
        if query.group == REAL and query.transform == "lookalike":
            own_family = query.video.family
            yield "without", frozenset(n for n in every if self.videos[n].family != own_family)
            return
        half = self.half[query.video.video_id]
        same = frozenset(name for name in every if self.half[name] == half)
        yield "all", every
        yield "with", same
        if query.group != REAL:
            yield "without", every - same

    def video(self, name: str) -> DatasetVideo:
        """A video or a look-alike; both may be mixed into an edit. Raises UsageError for one that is
        neither: an edit from the cache may have been made in a run over other folders."""
        found = self.lookalikes.get(name) or self.videos.get(name)
        if found is None:
            raise UsageError(
                f"a cached edit has {name!r} mixed in, which is no video of this run; evaluate on the "
                "folders of the run that made it, or give --cache another folder"
            )
        return found

    def relation(self, video: DatasetVideo, other_id: str, partners: Sequence[str]) -> Relation:
        """The relation of another video to a query made of `video`; a copy of a partner is a partner."""
        if other_id.startswith(PREFIX):
            return "stranger"
        other = self.video(other_id)
        if other_id == video.video_id:
            return "self"
        if other.family == video.family:
            return "copy"
        if other.family in {self.video(name).family for name in partners}:
            return "partner"
        if other.lookalike_group and other.lookalike_group == video.lookalike_group:
            return "lookalike"
        return "stranger"


def answer_all(
    queries: Iterable[Query], dataset: Dataset, method: Method, profile: str
) -> Iterator[QueryRow]:
    """Answer every query in every catalogue: a row each."""
    for query in queries:
        cached = query.load()
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
                duration_seconds=cached.query.duration_seconds,
                error=cached.error,
                pieces=cached.pieces,
                matches=() if cached.error else method.answer(query, cached, names),
            )
