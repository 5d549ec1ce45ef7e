"""The stored form of a match: all that a match report knows of one query and one reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.state.matches import StoredMatch
from common.types import CatalogEntry
from searcher.matching.policy import Policy, covered_seconds

# Ranges of one match that are kept.
MAX_RANGES = 50
_OF_VIDEO = frozenset({"video_id", "uri", "bank"})
_TIMES = (
    *("query_start_seconds", "query_end_seconds"),
    *("ref_start_seconds", "ref_end_seconds"),
)


@dataclass(frozen=True, slots=True)
class QueryIdentity:
    """What a query is, so that it is known again. kind: upload, uri or video. fingerprint: `sha256:` and
    the hash of an upload, `uri:` and the address, or `video:` and the id. bank: of a video of the
    catalogue, else None."""

    kind: str
    fingerprint: str
    video_id: str | None = None
    bank: str | None = None

    @classmethod
    def of_video(cls, video: CatalogEntry | Any) -> QueryIdentity:
        """A video of the catalogue."""
        return cls("video", f"video:{video.video_id}", video.video_id, video.bank)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "fingerprint": self.fingerprint,
            "video_id": self.video_id,
            "bank": self.bank,
        }


def match_detail(
    query: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    best_non_match: Mapping[str, Any] | None,
    policy: Policy,
    model_id: str,
) -> dict[str, Any]:
    """The detail of one match. query: as in the report, with the identity. items: the report's matches
    with this reference, best first. best_non_match: an item of another reference."""
    ranges = [_range(item) for item in items[:MAX_RANGES]]
    best = max(items, key=lambda item: item["probability"])
    matched = covered_seconds(
        (item["query_start_seconds"], item["query_end_seconds"]) for item in items
    )
    seconds = query["duration_seconds"]
    return {
        "query": dict(query),
        "ref_video_id": best["video_id"],
        "ref_uri": best["uri"],
        "model_id": model_id,
        "found_decision": _strongest(items),
        "probability": best["probability"],
        "score": best["score"],
        "view": best["view"],
        "matched_seconds": round(matched, 3),
        "coverage": round(min(1.0, matched / seconds), 4) if seconds else 0.0,
        "rule": _rule(best["probability"], _strongest(items), policy),
        "ranges": ranges,
        "best_non_match": None if best_non_match is None else _non_match(best_non_match),
    }


def policy_of(detail: Mapping[str, Any]) -> Policy:
    """The policy under which a match was found."""
    told = detail["rule"]
    return Policy(
        told["copy_probability"],
        told["review_probability"],
        told["min_seconds"],
        told["min_coverage"],
    )


def fingerprint_of(match: StoredMatch) -> str:
    """The fingerprint of a stored match's query."""
    return str(match.detail["query"]["fingerprint"])


def _strongest(items: Sequence[Mapping[str, Any]]) -> str:
    decisions = {item["decision"] for item in items}
    return next(one for one in ("copy", "review", "no_match") if one in decisions)


def _rule(probability: float, decision: str, policy: Policy) -> dict[str, Any]:
    """Which threshold decided, and by how much."""
    name, threshold = "copy_probability", policy.copy_probability
    if decision == "review":
        name, threshold = "review_probability", policy.review_probability
        if probability >= policy.copy_probability:
            name, threshold = "coverage_too_small", policy.copy_probability
    return {
        "name": name,
        "threshold": threshold,
        "margin": round(probability - threshold, 4),
        "copy_probability": policy.copy_probability,
        "review_probability": policy.review_probability,
        "min_seconds": policy.min_seconds,
        "min_coverage": policy.min_coverage,
    }


def _range(item: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in item.items() if name not in _OF_VIDEO}
    return {**told, "evidence": _with_times(item["evidence"])}


def _non_match(item: Mapping[str, Any]) -> dict[str, Any]:
    names = ("video_id", "uri", "probability", "score", "view", *_TIMES)
    return {**{name: item[name] for name in names}, "evidence": _with_times(item["evidence"])}


def _with_times(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence, with the times of each pair's segment in the reference, which its id tells."""
    pairs = []
    for pair in evidence.get("pairs", ()):
        start, _, end = pair["segment_id"].rpartition("@")[2].partition("-")
        times = {"ref_start_seconds": int(start) / 1000, "ref_end_seconds": int(end) / 1000}
        pairs.append({**pair, **times})
    return {**evidence, "pairs": pairs}
