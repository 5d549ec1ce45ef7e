"""A hit as the fields of an answer."""

from __future__ import annotations

from typing import TypeAlias

from common.types import Hit, segment_id_of

HitFields: TypeAlias = dict[str, object]


def hit_fields(
    video_id: str, start_seconds: float, end_seconds: float, version: int, bank: str, score: float
) -> HitFields:
    """The fields of a hit; see `SegmentRef` and `Hit`."""
    return {
        "segment_id": segment_id_of(video_id, start_seconds, end_seconds),
        "video_id": video_id,
        "bank": bank,
        "start_seconds": start_seconds,
        "end_seconds": end_seconds,
        "version": version,
        "score": score,
    }


def fields_of(hit: Hit) -> HitFields:
    """The fields of a hit that is an object."""
    ref = hit.ref
    return hit_fields(
        ref.video_id, ref.start_seconds, ref.end_seconds, ref.version, ref.bank, hit.score
    )
