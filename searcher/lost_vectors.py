"""What a user is told if a store lacks vectors that the catalogue has."""

from __future__ import annotations

from collections.abc import Sequence

from common.printable import printable
from searcher.storage.video import Video


def all_lost(where: str) -> str:
    """Every vector is lost. where: the store."""
    return (
        f"{where} is empty: every video must be indexed again. If STORYHASH_QDRANT__URL or "
        "STORYHASH_QDRANT__COLLECTION is wrong, correct it first. `serve`, and a searcher over Kafka, "
        "index the videos again themselves; otherwise run `storyhash index`"
    )


def some_lost(where: str, lost: Sequence[Video]) -> str:
    """Segments of these videos are lost. where: the store."""
    return (
        f"{where} lacks segments of {len(lost)} videos, such as {printable(lost[0].video_id)}: index "
        "them again (`storyhash index`; over Kafka `storyhash ingest --again`)"
    )
