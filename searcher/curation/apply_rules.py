"""The one place where what people have set decides about the report of a query: policies, disabled
videos, negative banks, exceptions and actions. Services and the command line use it alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from common.state.curation import NOTHING, Curation
from common.state.exceptions import StoredException
from common.state.matches import FoundMatch
from searcher.curation.actions import action_on, acts_of, strongest_action
from searcher.curation.match_detail import QueryIdentity, match_detail, negatives_to_json
from searcher.curation.rules import Negative, is_worth_it, rule
from searcher.curation.scope_and_policy import filter_of, policies_under
from searcher.index.state import Banks, Filter
from searcher.matching.cascade import has_copy
from searcher.matching.matcher import Matcher, MatchReport
from searcher.matching.report.match_json import report_to_json
from searcher.matching.scoring.policy import Policies, strongest
from searcher.storage.uploads import shown_uri

# The exceptions of these references, by video id; pairs only with the query of this fingerprint.
ExceptionsOf: TypeAlias = Callable[[Collection[str], str], Mapping[str, list[StoredException]]]
# Maximum number of negative ranges of one query that are shown and stored.
MAX_NEGATIVES = 100


def no_exceptions(_: Collection[str], __: str) -> dict[str, list[StoredException]]:
    """Where there is no state, there are none."""
    return {}


@dataclass(frozen=True, slots=True)
class RuledAnswer:
    """The JSON of a report, and its matches as they are stored, with their items in the JSON, by video
    id; the best ones first."""

    answer: dict[str, Any]
    found: list[FoundMatch]
    items: Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class CurationRules:
    """All that people have set, at one moment."""

    curation: Curation = NOTHING
    exceptions: ExceptionsOf = no_exceptions

    def matcher(self, matcher: Matcher) -> Matcher:
        """The matcher with the policies that are set."""
        policies = policies_under(matcher.policies, self.curation.banks)
        return matcher if policies is matcher.policies else matcher.under(policies)

    def filter(self, banks: Banks) -> Filter:
        """What a match in these banks compares: their videos and those of negative banks, without what is
        disabled. banks: None means all."""
        negative = self.curation.negative_banks
        return filter_of(self.curation, banks if banks is None else banks | negative)

    def has_copy(self, report: MatchReport) -> bool:
        """Whether a report has a copy that is not only a video of a negative bank."""
        negative = self.curation.negative_banks
        if not negative:
            return has_copy(report)
        copies = [
            (match.bank, (match.query_start_seconds, match.query_end_seconds))
            for match, decision in zip(report.matches, report.decisions, strict=True)
            if decision == "copy"
        ]
        excluded = [interval for bank, interval in copies if bank in negative]
        return any(
            bank not in negative and is_worth_it(interval, excluded) for bank, interval in copies
        )

    def apply(
        self,
        report: MatchReport,
        query: QueryIdentity,
        uri_of: Callable[[str], str],
        policies: Policies,
        visible: frozenset[str] | None = None,
    ) -> RuledAnswer:
        """The JSON of a report under the rules. What they exclude is in `excepted` and `negatives`, not
        in `matches`. visible: banks that the caller may see; None means all. Raises StateError.
        """
        answer = report_to_json(report, uri_of)
        answer["query"]["fingerprint"] = query.fingerprint
        if query.video_id is not None:
            answer["query"]["uri"] = shown_uri(query.video_id, report.uri)
        negatives = self._take_negatives(answer, query, visible)
        by_reference: dict[str, list[dict[str, Any]]] = {}
        for item in answer["matches"]:
            by_reference.setdefault(item["video_id"], []).append(item)
        query_json = {**answer["query"], **query.to_json()}
        found = self._found(answer, by_reference, query_json, query, policies, negatives)
        exceptions = self.exceptions(by_reference, query.fingerprint) if by_reference else {}
        decided = []
        for one in found:
            items = by_reference[one.ref_video_id]
            of_reference = exceptions.get(one.ref_video_id, [])
            ruling = rule(
                items,
                of_reference,
                fingerprint=query.fingerprint,
                bank=one.bank,
                policy=policies.of(one.bank),
                query_seconds=query_json["duration_seconds"],
                negatives=negatives,
            )
            for item, decision, applied, covered in zip(
                items, ruling.decisions, ruling.exceptions, ruling.negatives, strict=True
            ):
                item["decision"] = decision
                if applied:
                    item["exceptions"] = [
                        {"id": one.id, "kind": one.kind, "reason": one.reason} for one in applied
                    ]
                if covered:
                    item["negatives"] = negatives_to_json(covered, visible)
            action = action_on(items, query_json["duration_seconds"], one.detail["acts"])
            for item in items:
                item["action"] = action
            detail = {**one.detail, "action": action}
            decided.append(replace(one, decision=ruling.decision, detail=detail))
        excepted = [item for item in answer["matches"] if item["decision"] == "no_match"]
        if excepted:
            answer["matches"] = [one for one in answer["matches"] if one["decision"] != "no_match"]
            answer["excepted"] = excepted
        answer["decision"] = strongest(item["decision"] for item in answer["matches"])
        answer["action"] = strongest_action(item["action"] for item in answer["matches"])
        return RuledAnswer(answer, decided, by_reference)

    def _take_negatives(
        self, answer: dict[str, Any], query: QueryIdentity, visible: frozenset[str] | None
    ) -> list[Negative]:
        """Move the matches with negative banks from `matches` to `negatives`; returns the ranges of the
        query that are surely theirs. A query of a negative bank is negative as a whole."""
        banks = self.curation.negative_banks
        if not banks:
            return []
        found = [item for item in answer["matches"] if item["bank"] in banks]
        answer["matches"] = [item for item in answer["matches"] if item["bank"] not in banks]
        answer["candidates"] = [one for one in answer["candidates"] if one["bank"] not in banks]
        negatives = [Negative.of(item) for item in found if item["decision"] == "copy"]
        if query.bank in banks and query.video_id is not None:
            seconds = answer["query"]["duration_seconds"]
            negatives.insert(0, Negative(query.video_id, query.bank, 0.0, seconds))
        visible_items = [item for item in found if visible is None or item["bank"] in visible]
        if visible_items:
            answer["negatives"] = visible_items[:MAX_NEGATIVES]
        return negatives[:MAX_NEGATIVES]

    def _found(
        self,
        answer: Mapping[str, Any],
        by_reference: Mapping[str, list[dict[str, Any]]],
        query: Mapping[str, Any],
        identity: QueryIdentity,
        policies: Policies,
        negatives: Sequence[Negative],
    ) -> list[FoundMatch]:
        """The matches of a report as the matcher decided on them."""
        non_matches: dict[str, Mapping[str, Any]] = {}
        for item in answer["candidates"]:
            # Of the same bank: a caller of one bank must not learn of the others.
            non_matches.setdefault(item["bank"], item)
        found = []
        for video_id, items in by_reference.items():
            bank = items[0]["bank"]
            detail = match_detail(
                query,
                items,
                non_matches.get(bank),
                policies.of(bank),
                answer["model_id"],
                negatives=negatives,
                acts=acts_of(self.curation.banks.get(bank), bank, identity.fingerprint),
            )
            found.append(
                FoundMatch(
                    identity.fingerprint,
                    video_id,
                    bank,
                    identity.bank,
                    decision=detail["found_decision"],
                    probability=detail["probability"],
                    detail=detail,
                )
            )
        return found
