"""A video under another description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.types import CatalogEntry
from ingest.catalogue import check_entry
from searcher.storage.video import Video


def described(video: Video, changes: Mapping[str, Any]) -> tuple[Video, CatalogEntry] | None:
    """The row with another bank, title or metadata, and its entry; None if nothing changes.

    Raises UsageError for invalid text.
    """
    row = replace(video, **changes)
    if row.description == video.description:
        return None
    entry = CatalogEntry(video.video_id, video.uri, row.bank, row.title, row.metadata)
    check_entry(entry)
    return row, entry
