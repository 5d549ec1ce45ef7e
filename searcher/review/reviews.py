"""Finishes the report of a query: exceptions are applied, matches are stored, and the JSON is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from common.state.curation import Curation, CurationStore
from common.state.events import video_indexed
from common.state.exceptions import StoredException
from common.state.matches import FoundMatch, StoredMatch
from common.state.outbox import Event
from common.state.state import State
from common.tracing import step
from searcher.api.protocols import ServingIndex
from searcher.matching.match_json import report_to_json
from searcher.matching.matcher import MatchReport
from searcher.matching.policy import Policies, strongest
from searcher.review.match_detail import QueryIdentity, match_detail, rule_stored
from searcher.review.rules import rule

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

    @step("store matches")
    def finish(
        self, report: MatchReport, query: QueryIdentity, answering: ServingIndex
    ) -> dict[str, Any]:
        """The JSON of a report after exceptions, with the id of each match, which is stored. What
        exceptions exclude is in `excepted`. Raises StateError, NotReadyError."""
        state = self._state()
        answer = report_to_json(report, answering.index.videos.uri_of)
        answer["query"]["fingerprint"] = query.fingerprint
        by_reference: dict[str, list[dict[str, Any]]] = {}
        for item in answer["matches"]:
            by_reference.setdefault(item["video_id"], []).append(item)
        if not by_reference:
            return answer
        policies = answering.matcher.policies
        told = {**answer["query"], **query.to_json()}
        found = _found(answer, by_reference, told, query, policies)
        exceptions = state.exceptions.of_references(by_reference, query.fingerprint)
        decided = []
        for one in found:
            items = by_reference[one.ref_video_id]
            decision = _apply(items, exceptions.get(one.ref_video_id, []), query, policies, told)
            decided.append(replace(one, decision=decision))
        for one, match_id in zip(decided, state.matches.record(decided), strict=True):
            for item in by_reference[one.ref_video_id]:
                item["match_id"] = match_id
        # A video that was deleted meanwhile took along only what was stored before.
        for video_id in {*by_reference, *([query.video_id] if query.video_id else [])}:
            if answering.index.videos.get(video_id) is None:
                self.forget_video(video_id)
        excepted = [item for item in answer["matches"] if item["decision"] == "no_match"]
        if excepted:
            answer["matches"] = [one for one in answer["matches"] if one["decision"] != "no_match"]
            answer["excepted"] = excepted
        answer["decision"] = strongest(item["decision"] for item in answer["matches"])
        return answer

    def forget_video(self, video_id: str, banks: frozenset[str] | None = None) -> None:
        """Delete what is kept of a deleted video. banks: only matches and exceptions of these banks.
        Raises StateError, NotReadyError."""
        state = self._state()
        state.matches.forget_video(video_id, banks)
        state.exceptions.forget_video(video_id, banks)
        state.curation.enable(video_id)

    def curated(self) -> Curation:
        """What people have set. Raises NotReadyError before it is open, StateError."""
        return self.curation.current

    @property
    def curation(self) -> CurationStore:
        """Where it is kept what people have set. Raises NotReadyError before it is open."""
        return self._state().curation

    def move_video(self, video_id: str, bank: str) -> None:
        """Move the matches and exceptions of a video to its new bank. Raises StateError,
        NotReadyError."""
        state = self._state()
        state.matches.move_video(video_id, bank)
        state.exceptions.move_video(video_id, bank)

    def tell_indexed(self, video_id: str, bank: str, version: int) -> None:
        """Tell webhooks that a version of a video is searchable. Raises StateError, NotReadyError."""
        self._state().webhooks.tell(video_indexed(video_id, bank, version))

    def tell_deleted(self, event: Event) -> None:
        """Tell webhooks that a video was deleted. Raises StateError, NotReadyError."""
        self._state().webhooks.tell(event)


def decide_stored(match: StoredMatch, exceptions: Sequence[StoredException]) -> str:
    """The decision on a stored match under these exceptions of its reference."""
    return rule_stored(match, exceptions).decision


def _found(
    answer: Mapping[str, Any],
    by_reference: Mapping[str, list[dict[str, Any]]],
    query: Mapping[str, Any],
    identity: QueryIdentity,
    policies: Policies,
) -> list[FoundMatch]:
    """The matches of a report as the matcher decided on them."""
    non_matches: dict[str, Mapping[str, Any]] = {}
    for item in answer["candidates"]:
        # Of the same bank: a caller of one bank must not learn of the others.
        non_matches.setdefault(item["bank"], item)
    found = []
    for video_id, items in list(by_reference.items())[:MAX_STORED]:
        bank = items[0]["bank"]
        detail = match_detail(
            query, items, non_matches.get(bank), policies.of(bank), answer["model_id"]
        )
        decision, probability = detail["found_decision"], detail["probability"]
        found.append(
            FoundMatch(
                *(identity.fingerprint, video_id, bank, identity.bank),
                decision=decision,
                probability=probability,
                detail=detail,
            )
        )
    return found


def _apply(
    items: Sequence[dict[str, Any]],
    exceptions: Sequence[StoredException],
    query: QueryIdentity,
    policies: Policies,
    told: Mapping[str, Any],
) -> str:
    """Change the decisions of the items, and say which exceptions did so; returns the strongest."""
    bank = items[0]["bank"]
    ruling = rule(
        items,
        exceptions,
        fingerprint=query.fingerprint,
        bank=bank,
        policy=policies.of(bank),
        query_seconds=told["duration_seconds"],
    )
    for item, decision, applied in zip(items, ruling.decisions, ruling.exceptions, strict=True):
        item["decision"] = decision
        if applied:
            item["exceptions"] = [
                {"id": one.id, "kind": one.kind, "reason": one.reason} for one in applied
            ]
    return ruling.decision
