"""The evidence pack of a match: what was found, why, and the hashes of pictures and files."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from common.cancellation import Cancellation
from common.state.matches import StoredMatch
from common.state.state import State
from common.uris import is_remote
from searcher.evidence.words import in_words
from searcher.review.match_view import matches_to_json
from searcher.review.titles import titles_of
from searcher.storage.uploads import shown_uri
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex

# Pairs in one pack: those of the best ranges.
MAX_PAIRS = 24
# Larger files get no hash: reading one takes minutes.
MAX_HASHED_BYTES = 16 * 1024**3
_BLOCK_BYTES = 1 << 20
_UPLOAD = "sha256:"
_ADDRESS = "it came from an address, and no copy is kept"


def evidence_pack(
    state: State, index: VideoIndex, match: StoredMatch, cancellation: Cancellation
) -> dict[str, Any]:
    """The pack as JSON values; see `EvidencePack`. Raises StateError, StorageError, CancelledError."""
    (match_json,) = matches_to_json(state, [match], titles_of(index.videos), whole=True)
    applied = {number for one in match_json["ranges"] for number in one.get("exceptions", ())}
    references = state.exceptions.of_references({match_json["ref_video_id"]})
    exceptions = [
        one.to_json() for one in references.get(match_json["ref_video_id"], ()) if one.id in applied
    ]
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": f"StoryHash {version('storyhash')}",
        "words": in_words(match_json),
        "model": {
            "model_id": match_json["model_id"],
            "calibration": str(match_json["ranges"][0]["evidence"].get("calibration", "unknown")),
        },
        "files": [
            _query_file(match_json["query"], index.videos, cancellation),
            _hashed("reference", match_json["ref_video_id"], index.videos, cancellation),
        ],
        "pairs": _pairs(match_json, index),
        "exceptions": exceptions,
        "match": match_json,
    }


def _pairs(match_json: Mapping[str, Any], index: VideoIndex) -> list[dict[str, Any]]:
    """The pairs of all ranges, best range first."""
    sides = {"query": match_json["query"]["video_id"], "reference": match_json["ref_video_id"]}
    found = []
    for number, one in enumerate(match_json["ranges"]):
        for pair in one["evidence"].get("pairs", ()):
            pictures = [
                _picture(index, side, sides[side], seconds) for side, seconds in _moments(one, pair)
            ]
            found.append({"range": number, "similarity": pair["similarity"], "pictures": pictures})
    return found[:MAX_PAIRS]


def _moments(one: Mapping[str, Any], pair: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The middle of a pair in the query, and the same moment of the reference by the range's times."""
    start, end = one["query_start_seconds"], one["query_end_seconds"]
    middle = (pair["query_start_seconds"] + pair["query_end_seconds"]) / 2
    at = min(max(middle, start), end)
    share = (at - start) / (end - start) if end > start else 0.0
    if (one["evidence"].get("tempo") or 1.0) < 0:
        share = 1.0 - share
    length = one["ref_end_seconds"] - one["ref_start_seconds"]
    yield "query", round(at, 3)
    yield "reference", round(one["ref_start_seconds"] + share * length, 3)


def _picture(index: VideoIndex, side: str, video_id: str | None, seconds: float) -> dict[str, Any]:
    found = None if video_id is None else index.thumbnails.read(video_id, seconds)
    return {
        "side": side,
        "seconds": seconds,
        "picture_seconds": None if found is None else found.seconds,
        "sha256": None if found is None else hashlib.sha256(found.webp).hexdigest(),
        "picture": None if found is None else base64.b64encode(found.webp).decode("ascii"),
    }


def _query_file(
    query: Mapping[str, Any], videos: VideoStore, cancellation: Cancellation
) -> dict[str, Any]:
    if query["kind"] == "upload":
        sha256 = str(query["fingerprint"]).removeprefix(_UPLOAD)
        return _file("query", query["uri"], sha256, None, "uploads are not kept")
    if query["kind"] == "uri":
        return _file("query", query["uri"], None, None, _ADDRESS)
    return _hashed("query", query["video_id"], videos, cancellation)


def _hashed(
    side: str, video_id: str, videos: VideoStore, cancellation: Cancellation
) -> dict[str, Any]:
    """The hash of the file of a video, if it is on this machine, or why there is none."""
    path = videos.uri_of(video_id)
    uri = shown_uri(video_id, path)
    if is_remote(path):
        return _file(side, uri, None, None, _ADDRESS)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return _file(side, uri, None, None, "the file is not on this machine any more")
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return _file(side, uri, None, None, "it is not one file")
        if found.st_size > MAX_HASHED_BYTES:
            return _file(
                side, uri, None, found.st_size, "the file is too large to be read for this"
            )
        digest = hashlib.sha256()
        while block := os.read(descriptor, _BLOCK_BYTES):
            cancellation.check()
            digest.update(block)
        return _file(side, uri, digest.hexdigest(), found.st_size, "", read=True)
    except OSError:
        return _file(side, uri, None, None, "the file cannot be read")
    finally:
        os.close(descriptor)


def _file(
    side: str, uri: str, sha256: str | None, size: int | None, note: str, *, read: bool = False
) -> dict[str, Any]:
    return {
        "side": side,
        "uri": uri,
        "sha256": sha256,
        "bytes": size,
        "read": read,
        "note": note,
    }
