"""Every video of the catalogue as a query against the others, by what the index holds of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from searcher.matching.candidate_order import LISTED_CANDIDATES
from searcher.matching.duplicate_groups import (
    DEFAULT_SHARE,
    Components,
    DuplicateGroup,
    are_copies,
    grouped,
)
from searcher.matching.matcher import Matcher
from searcher.matching.overlaps import COPIES, Overlap, overlaps_in, stronger
from searcher.matching.policy import Decision
from searcher.storage.video_store import Video

OnQuery = Callable[[int, int], None]
"""Called before each query with how many are done, and how many there are as far as is known."""


@dataclass(slots=True)
class DuplicateSearch:
    """Matches videos one at a time, each pair from either side, and keeps the stronger answer.

    videos: all that may be found, by id. Holds what pairs share and nothing else: a few hundred bytes for
    each pair.
    """

    matcher: Matcher
    videos: dict[str, Video]
    share: float = DEFAULT_SHARE
    decisions: Collection[Decision] = COPIES
    on_query: OnQuery = lambda done, total: None
    _durations: dict[str, float] = field(init=False)
    _overlaps: dict[tuple[str, str], Overlap] = field(init=False, default_factory=dict)
    _queries: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._durations = {name: one.duration_seconds for name, one in self.videos.items()}

    def groups(self, seeds: Iterable[str]) -> list[DuplicateGroup]:
        """The groups that list one of these videos. Whatever they lead to is a query too, so a group is
        the same whichever of its videos are asked for."""
        wanted = frozenset(seeds)
        waiting = sorted(wanted)
        asked = set(waiting)
        complete: set[frozenset[str]] = set()
        while waiting:
            for number, video_id in enumerate(waiting):
                self.on_query(self._queries, self._queries + len(waiting) - number)
                self._match(video_id)
            self._complete_groups(complete)
            waiting = sorted({end for pair in self._overlaps for end in pair} - asked)
            asked.update(waiting)
        groups = grouped(self._overlaps.values(), self._durations, self.share)
        return [one for one in groups if not wanted.isdisjoint(one.videos)]

    def _complete_groups(self, complete: set[frozenset[str]]) -> None:
        """Find the copies that lie behind others: a search gives so many segments and no more, and in a
        large group they are all of the copies that are nearest. One of each group is asked again without
        those that are known, until nothing is new."""
        while True:
            groups = [one for one in self._components() if one not in complete]
            if not groups:
                return
            for number, group in enumerate(groups):
                self.on_query(self._queries, self._queries + len(groups) - number)
                longest = max(sorted(group), key=lambda name: self._durations[name])
                self._match(longest, group - {longest})
                complete.add(group)

    def _components(self) -> list[frozenset[str]]:
        components = Components()
        for one in self._overlaps.values():
            if are_copies(one, self.share):
                components.join(one.first, one.second)
        names = {end for pair in self._overlaps for end in pair}
        return [frozenset(group) for group in components.members(names).values() if len(group) > 1]

    def _match(self, video_id: str, without: frozenset[str] = frozenset()) -> None:
        self._queries += 1
        # Further copies lie behind these, and are found from other videos of the group.
        report = self.matcher.match_video(
            self.videos[video_id], without=without, most_candidates=LISTED_CANDIDATES
        )
        for found in overlaps_in(report, video_id, self._durations, self.decisions):
            pair = (found.first, found.second)
            known = self._overlaps.get(pair)
            self._overlaps[pair] = found if known is None else stronger(found, known)
