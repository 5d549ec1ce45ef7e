"""The form of a match that rules decide on and that is stored: all that a report knows of one query and
one reference."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from common.state.exceptions import StoredException
from common.state.matches import StoredMatch
from common.state.video_names import query_of_video
from common.types import CatalogEntry
from common.uris import public_uri
from searcher.curation.rules import Negative, Ruling, rule
from searcher.matching.scoring.policy import Policy, covered_seconds, strongest

# Ranges of one match that are kept.
MAX_RANGES = 50
_OF_VIDEO = frozenset({"video_id", "uri", "bank"})
_TIMES = (*("query_start_seconds", "query_end_seconds"), *("ref_start_seconds", "ref_end_seconds"))


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
    def of_upload(cls, sha256: str) -> QueryIdentity:
        """An uploaded file with this hash."""
        return cls("upload", f"sha256:{sha256}")

    @classmethod
    def of_files(cls, paths: Sequence[Path]) -> QueryIdentity:
        """A file, as if it was uploaded; several are the pictures of one video. Raises OSError."""
        digest = hashlib.sha256()
        for path in paths:
            with path.open("rb") as file:
                hashlib.file_digest(file, lambda: digest)
        return cls.of_upload(digest.hexdigest())

    @classmethod
    def of_uri(cls, uri: str) -> QueryIdentity:
        """An address, without its secrets."""
        return cls("uri", f"uri:{public_uri(uri)}")

    @classmethod
    def of_video(cls, video: CatalogEntry | Any) -> QueryIdentity:
        """A video of the catalogue."""
        return cls("video", query_of_video(video.video_id), video.video_id, video.bank)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def match_detail(
    query: Mapping[str, Any],
    items: Sequence[Mapping[str, Any]],
    best_non_match: Mapping[str, Any] | None,
    policy: Policy,
    model_id: str,
    *,
    negatives: Sequence[Negative],
    acts: Mapping[str, Any],
) -> dict[str, Any]:
    """The detail of one match. query: as in the report, with the identity. items: the report's matches
    with this reference, best first. best_non_match: an item of another reference. negatives: of the
    query. acts: what decides on the action (see `acts_of`). policy, model_id: thresholds and model that
    the evidence does not tell; a second opinion has its own."""
    ranges = [_range(item) for item in items[:MAX_RANGES]]
    best = max(items, key=lambda item: item["probability"])
    matched = covered_seconds(
        (item["query_start_seconds"], item["query_end_seconds"]) for item in items
    )
    seconds = query["duration_seconds"]
    decision = strongest(item["decision"] for item in items)
    return {
        "query": dict(query),
        "ref_video_id": best["video_id"],
        "ref_uri": best["uri"],
        "model_id": best["evidence"].get("model_id", model_id),
        "found_decision": decision,
        "probability": best["probability"],
        "score": best["score"],
        "view": best["view"],
        "matched_seconds": round(matched, 3),
        "coverage": round(min(1.0, matched / seconds), 4) if seconds else 0.0,
        "rule": _rule(best["probability"], decision, _policy_of(best["evidence"], policy)),
        "ranges": ranges,
        "best_non_match": None if best_non_match is None else _non_match(best_non_match),
        "negatives": negatives_to_json(negatives),
        "acts": dict(acts),
    }


def negatives_to_json(
    negatives: Sequence[Negative], visible: frozenset[str] | None = None
) -> list[dict[str, Any]]:
    """Negative ranges. Ids and names of banks that the caller may not see are null. visible: the banks
    that it may see; None means all."""
    return [
        {
            "video_id": one.video_id if visible is None or one.bank in visible else None,
            "bank": one.bank if visible is None or one.bank in visible else None,
            "query_start_seconds": one.start_seconds,
            "query_end_seconds": one.end_seconds,
        }
        for one in negatives
    ]


def rule_stored(match: StoredMatch, exceptions: Sequence[StoredException]) -> Ruling:
    """`rule` for a stored match, under the policy with which it was found. exceptions: of its
    reference."""
    query, found = match.detail["query"], match.detail["rule"]
    names = [field.name for field in fields(Policy)]
    return rule(
        match.detail["ranges"],
        exceptions,
        fingerprint=query["fingerprint"],
        bank=match.bank,
        policy=Policy(*(found[name] for name in names)),
        query_seconds=query["duration_seconds"],
        negatives=list(map(Negative.of, match.detail.get("negatives", ()))),
    )


def _policy_of(evidence: Mapping[str, Any], policy: Policy) -> Policy:
    """The policy with the thresholds that decided on a match."""
    names = ("copy_probability", "review_probability")
    return replace(policy, **{name: evidence[name] for name in names if name in evidence})


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
        **asdict(policy),
    }


def _range(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in item.items() if name not in _OF_VIDEO}
    return {**kept, "evidence": _with_times(item["evidence"])}


def _non_match(item: Mapping[str, Any]) -> dict[str, Any]:
    names = ("video_id", "uri", "probability", "score", "view", *_TIMES)
    return {**{name: item[name] for name in names}, "evidence": _with_times(item["evidence"])}


def _with_times(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence, with the times of each pair's segment in the reference, from the segment id."""
    pairs = []
    for pair in evidence.get("pairs", ()):
        start, _, end = pair["segment_id"].rpartition("@")[2].partition("-")
        times = {"ref_start_seconds": int(start) / 1000, "ref_end_seconds": int(end) / 1000}
        pairs.append({**pair, **times})
    return {**evidence, "pairs": pairs}
