"""The JSON of stored matches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.state.exceptions import StoredException
from common.state.keys import iso
from common.state.matches import StoredMatch
from common.state.state import State
from common.state.verdicts import MAX_VERDICTS
from searcher.review.match_detail import rule_stored

# What only the JSON of a single match has.
_LARGE = frozenset({"best_non_match"})


def matches_to_json(
    state: State, matches: Sequence[StoredMatch], *, whole: bool = False
) -> list[dict[str, Any]]:
    """The JSON of matches, with what exceptions and verdicts say now. whole: with evidence, the best
    non-match and all verdicts. Raises StateError."""
    exceptions = state.exceptions.of_references({one.detail["ref_video_id"] for one in matches})
    verdicts = state.verdicts.latest([one.id for one in matches])
    told = []
    for match in matches:
        ours = exceptions.get(match.detail["ref_video_id"], [])
        value = _match(match, ours, verdicts.get(match.id), whole=whole)
        if whole:
            value["verdicts"] = state.verdicts.page(match.id, None, MAX_VERDICTS)[0]
        told.append(value)
    return told


def _match(
    match: StoredMatch,
    exceptions: Sequence[StoredException],
    verdict: dict[str, Any] | None,
    *,
    whole: bool,
) -> dict[str, Any]:
    detail = match.detail
    ruling = rule_stored(match, exceptions)
    ranges = []
    for found, decision, applied in zip(
        detail["ranges"], ruling.decisions, ruling.exceptions, strict=True
    ):
        shown = {name: found[name] for name in found if whole or name != "evidence"}
        shown["decision"] = decision
        if applied:
            shown["exceptions"] = [one.id for one in applied]
        ranges.append(shown)
    return {
        "id": match.id,
        "bank": match.bank,
        **{name: detail[name] for name in detail if whole or name not in _LARGE},
        "decision": match.decision,
        "ranges": ranges,
        "found_at": iso(match.found_at),
        "first_found_at": iso(match.first_found_at),
        "times_found": match.times_found,
        "verdict": verdict,
    }
