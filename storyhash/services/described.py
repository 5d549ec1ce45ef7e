"""A video under another description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ingest.catalogue import check_entry
from searcher.storage.video import Video


def described(video: Video, changes: Mapping[str, Any]) -> Video | None:
    """The row with another bank, title or metadata; None if nothing changes. Raises UsageError for
    invalid text."""
    row = replace(video, **changes)
    if row.description == video.description:
        return None
    check_entry(row.entry)
    return row
