"""Every video of the catalogue as a query against the others, by what the index holds of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from searcher.decisions import Decision
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.retrieval.candidate_order import LISTED_CANDIDATES
from searcher.matching.second_opinion import with_second_opinion
from searcher.serving import SecondIndex
from searcher.storage.video import Video
from storyhash.duplicates.duplicate_groups import (
    DEFAULT_SHARE,
    Components,
    DuplicateGroup,
    are_copies,
    grouped,
)
from storyhash.duplicates.overlaps import COPIES, Overlap, overlaps_in, stronger

if TYPE_CHECKING:
    # SQLAlchemy is slow to import.
    from storyhash.duplicates.rules import PairRules

OnQuery = Callable[[int, int], None]
"""Called before each query with how many are done, and how many there are as far as is known."""


@dataclass(slots=True)
class DuplicateSearch:
    """Matches videos one at a time, each pair from either side, and keeps the stronger answer.

    videos: all that may be found, by id. rules: what people have set. second: asked about every video,
    because one that has a copy may have another one that only the second profile finds. It needs a few
    hundred bytes of memory per pair.
    """

    matcher: Matcher
    videos: dict[str, Video]
    rules: PairRules
    share: float = DEFAULT_SHARE
    decisions: Collection[Decision] = COPIES
    on_query: OnQuery = lambda done, total: None
    second: SecondIndex | None = None
    _durations: dict[str, float] = field(init=False)
    _overlaps: dict[tuple[str, str], Overlap] = field(init=False, default_factory=dict)
    _queries: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._durations = {name: video.duration_seconds for name, video in self.videos.items()}

    def groups(self, seeds: Iterable[str]) -> list[DuplicateGroup]:
        """The groups that contain one of these videos. Every video found is a query too, so a group is
        the same for each of its videos, but for what finds them and is not found by them."""
        seed_ids = frozenset(seeds)
        next_ids = sorted(seed_ids)
        queried = set(next_ids)
        complete: set[frozenset[str]] = set()
        while next_ids:
            for number, video_id in enumerate(next_ids):
                self.on_query(self._queries, self._queries + len(next_ids) - number)
                self._match(video_id)
            self._complete_groups(complete)
            next_ids = sorted({end for pair in self._overlaps for end in pair} - queried)
            queried.update(next_ids)
        groups = grouped(self._overlaps.values(), self._durations, self.share)
        return [group for group in groups if not seed_ids.isdisjoint(group.videos)]

    def _complete_groups(self, complete: set[frozenset[str]]) -> None:
        """Find the copies that a search missed. A search returns a limited number of segments, and in a
        large group all of them may belong to the nearest copies. So one video of each group is matched
        again without the copies found so far, until no new one is found."""
        while True:
            groups = [group for group in self._components() if group not in complete]
            if not groups:
                return
            for number, group in enumerate(groups):
                self.on_query(self._queries, self._queries + len(groups) - number)
                longest = max(sorted(group), key=lambda name: self._durations[name])
                self._match(longest, group - {longest})
                complete.add(group)

    def _components(self) -> list[frozenset[str]]:
        components = Components()
        for overlap in self._overlaps.values():
            if are_copies(overlap, self.share):
                components.join(overlap.first, overlap.second)
        names = {end for pair in self._overlaps for end in pair}
        return [frozenset(group) for group in components.members(names).values() if len(group) > 1]

    def _match(self, video_id: str, without: frozenset[str] = frozenset()) -> None:
        self._queries += 1
        # Further copies lie behind these, and are found from other videos of the group.
        video, only = self.videos[video_id], self.rules.only

        def report_of(matcher: Matcher) -> MatchReport:
            return matcher.match_video(
                video,
                without=without | only.exclude_videos,
                without_banks=only.exclude_banks,
                most_candidates=LISTED_CANDIDATES,
            )

        report, second = report_of(self.matcher), self.second
        if second is not None and second.covers(video_id, video.bank):
            report = with_second_opinion(
                report,
                lambda: report_of(second.matcher),
                decided=lambda _: False,
                covers=second.covers,
            )
        report = self.rules.applied(report, video, self.matcher.policies)
        for overlap in overlaps_in(report, video_id, self._durations, self.decisions):
            pair = (overlap.first, overlap.second)
            before = self._overlaps.get(pair)
            self._overlaps[pair] = overlap if before is None else stronger(overlap, before)
