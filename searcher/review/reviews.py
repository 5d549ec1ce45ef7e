"""Finishes the report of a query: the rules are applied, and matches are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.state.events import video_indexed
from common.state.exceptions import StoredException
from common.state.matches import StoredMatch
from common.state.state import State
from common.state.video_names import videos_named
from common.tracing import step
from searcher.curation.apply_rules import CurationRules
from searcher.curation.match_detail import QueryIdentity, rule_stored
from searcher.deletion.steps import forget_deleted
from searcher.matching.matcher import MatchReport
from searcher.serving import ServingIndex
from searcher.storage.video_store import VideoStore

# Matches of one query that are stored: the best ones.
MAX_STORED = 1000


class Reviews:
    """What a service knows of matches beyond its index. Thread-safe."""

    def __init__(self, state: Callable[[], State]) -> None:
        """state: the state database; raises NotReadyError until it is open."""
        self._state = state

    @property
    def state(self) -> State:
        """The state database. Raises NotReadyError before it is open."""
        return self._state()

    def rules(self) -> CurationRules:
        """All that people have set, now. Raises NotReadyError, StateError."""
        state = self.state
        return CurationRules(state.curation.current, state.exceptions.of_references)

    @step("store matches")
    def finish(
        self,
        report: MatchReport,
        query: QueryIdentity,
        answering: ServingIndex,
        rules: CurationRules,
        visible: frozenset[str] | None = None,
    ) -> dict[str, Any]:
        """The JSON of a report under the rules, with the id of each match, which is stored. answering:
        with the matcher that made the report. visible: banks that the caller may see; None
        means all. Raises StateError, NotReadyError."""
        videos, policies = answering.index.videos, answering.matcher.policies
        ruled = rules.apply(report, query, videos.uri_of, policies, visible)
        found = ruled.found[:MAX_STORED]
        if not found:
            return ruled.answer
        for one, match_id in zip(found, self.state.matches.record(found), strict=True):
            for item in ruled.items[one.ref_video_id]:
                item["match_id"] = match_id
        forget_deleted(self.state, videos_named([one.detail for one in found]), videos)
        self.follow_moves({one.ref_video_id: one.bank for one in found}, videos)
        if query.video_id is not None and query.bank is not None:
            self.follow_moves({query.video_id: query.bank}, videos)
        return ruled.answer

    def follow_moves(self, banks: Mapping[str, str], videos: VideoStore) -> None:
        """Move what was stored of videos after they got another bank, by work that had begun before it.
        banks: those that were stored, by video id. Raises StateError, NotReadyError."""
        for video_id, bank in banks.items():
            video = videos.get(video_id)
            if video is not None and video.bank != bank:
                self.move_video(video_id, video.bank)

    def move_video(self, video_id: str, bank: str) -> None:
        """Move the matches and exceptions of a video to its new bank. Raises StateError,
        NotReadyError."""
        state = self.state
        state.matches.move_video(video_id, bank)
        state.exceptions.move_video(video_id, bank)

    def tell_indexed(self, answering: ServingIndex, video_id: str, bank: str, version: int) -> None:
        """Tell webhooks that a version of a video is searchable. Raises StateError, NotReadyError."""
        self.state.webhooks.enqueue(video_indexed(video_id, bank, version))
        forget_deleted(self.state, [video_id], answering.index.videos)


def decide_stored(match: StoredMatch, exceptions: Sequence[StoredException]) -> str:
    """The decision on a stored match under these exceptions of its reference."""
    return rule_stored(match, exceptions).decision
