"""Reads a catalogue row in the file of a catalogue, which anybody may have changed."""

from __future__ import annotations

import json
import math

from searcher.storage.video import Video

_TEXTS = (
    "uri",
    "bank",
    "title",
    "indexed_at",
    "root",
    "fingerprint",
    "error_code",
    "error_message",
)


def parse_row(text: str) -> Video:
    """A catalogue row from JSON. Raises ValueError or TypeError with what is wrong."""
    row = Video(**json.loads(text))
    if not isinstance(row.video_id, str) or not row.video_id or not _is_count(row.version, 1):
        raise ValueError(f"a video has no id or no version: {text[:80]}")
    for name in _TEXTS:
        if not isinstance(getattr(row, name), str):
            raise ValueError(f"{name} of {row.video_id} is no text")
    for name in ("segments", "uninformative_segments"):
        if not _is_count(getattr(row, name)):
            raise ValueError(f"{name} of {row.video_id} is no number of segments")
    seconds = row.duration_seconds
    if not isinstance(seconds, int | float) or not 0.0 <= seconds < math.inf:
        raise ValueError(f"duration_seconds of {row.video_id} is no length of a video: {seconds}")
    if not isinstance(row.metadata, dict):
        raise ValueError(f"metadata of {row.video_id} is no mapping")
    if row.state != "ready":
        raise ValueError(f"state of {row.video_id}: expected ready, got {row.state}")
    return row


def _is_count(value: object, least: int = 0) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
