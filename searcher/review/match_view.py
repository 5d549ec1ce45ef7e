"""The JSON of stored matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.state.exceptions import StoredException
from common.state.feedback import contradicts
from common.state.keys import iso
from common.state.matches import StoredMatch
from common.state.state import State
from common.state.verdicts import MAX_VERDICTS
from searcher.curation.actions import action_on, acts_of
from searcher.curation.match_detail import negatives_to_json, rule_stored
from searcher.review.titles import TitleOf
from searcher.storage.uploads import shown_uri

# What only the JSON of a single match has, and what none has as it is stored.
_LARGE = frozenset({"best_non_match"})
_HIDDEN = frozenset({"negatives", "acts"})
_DEFAULT_ACTS = acts_of(None, "", "")


def matches_to_json(
    state: State,
    matches: Sequence[StoredMatch],
    title_of: TitleOf,
    *,
    whole: bool = False,
    visible: frozenset[str] | None = frozenset(),
) -> list[dict[str, Any]]:
    """The JSON of matches, with the titles of their videos, and with what exceptions and verdicts say
    now. whole: with evidence, the best non-match and all verdicts. visible: banks whose negative
    videos the caller may see; None means all. Raises StateError."""
    exceptions = state.exceptions.of_references({one.detail["ref_video_id"] for one in matches})
    ids = [one.id for one in matches]
    verdicts, disputed = state.verdicts.latest(ids), state.feedback.disputed(ids)
    values = []
    for match in matches:
        ours = exceptions.get(match.detail["ref_video_id"], [])
        value = _match(match, ours, verdicts.get(match.id), visible, whole=whole)
        _add_names(value, title_of)
        disagreement = ["reviewers"] if match.id in disputed else []
        if contradicts(match.decision, match.verdict):
            disagreement.append("decision")
        if disagreement:
            value["disagreement"] = disagreement
        if whole:
            value["verdicts"] = state.verdicts.page(match.id, None, MAX_VERDICTS)[0]
        values.append(value)
    return values


def _add_names(value: dict[str, Any], title_of: TitleOf) -> None:
    bank, query, non_match = value["bank"], value["query"], value.get("best_non_match")
    value["ref_uri"] = shown_uri(value["ref_video_id"], value["ref_uri"])
    value["ref_title"] = title_of(value["ref_video_id"], bank) or ""
    if query["video_id"] is not None:
        title = title_of(query["video_id"], query["bank"]) or ""
        uri = shown_uri(query["video_id"], query["uri"])
        value["query"] = {**query, "uri": uri, "title": title}
    if non_match is not None:
        its_title = title_of(non_match["video_id"], bank)
        uri = shown_uri(non_match["video_id"], non_match["uri"])
        shown = {**non_match, "uri": uri, "title": its_title}
        # Who may see the match may not see a video that was moved to another bank.
        value["best_non_match"] = None if its_title is None else shown


def _match(
    match: StoredMatch,
    exceptions: Sequence[StoredException],
    verdict: dict[str, Any] | None,
    visible: frozenset[str] | None,
    *,
    whole: bool,
) -> dict[str, Any]:
    detail = match.detail
    ruling = rule_stored(match, exceptions)
    left_out = _HIDDEN if whole else _HIDDEN | _LARGE
    ranges = []
    for found, decision, applied, covered in zip(
        detail["ranges"], ruling.decisions, ruling.exceptions, ruling.negatives, strict=True
    ):
        item = {name: found[name] for name in found if whole or name != "evidence"}
        item["decision"] = decision
        if applied:
            item["exceptions"] = [one.id for one in applied]
        if covered:
            item["negatives"] = negatives_to_json(covered, visible)
        ranges.append(item)
    return {
        "id": match.id,
        "bank": match.bank,
        **{name: detail[name] for name in detail if name not in left_out},
        "decision": match.decision,
        "ranges": ranges,
        "action": action_on(
            ranges, detail["query"]["duration_seconds"], detail.get("acts", _DEFAULT_ACTS)
        ),
        "found_at": iso(match.found_at),
        "first_found_at": iso(match.first_found_at),
        "times_found": match.times_found,
        "verdict": verdict,
    }
