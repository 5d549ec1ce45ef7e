"""Which videos are worth a closer look: every window of every view in one batch of searches."""

from __future__ import annotations

from common.types import QueryEmbedding
from searcher.matching.base import SegmentIndex
from searcher.state import Filter

_HITS_PER_WINDOW = 20
MAX_CANDIDATES = 32


def retrieve(query: QueryEmbedding, index: SegmentIndex, only: Filter) -> list[str]:
    """Ids of the MAX_CANDIDATES videos with the nearest single segment, nearest first."""
    asked = query.vectors[query.informative]
    if not len(asked):
        return []
    best: dict[str, float] = {}
    for hits in index.search(asked, _HITS_PER_WINDOW, only):
        for hit in hits:
            video_id = hit.ref.video_id
            best[video_id] = max(hit.score, best.get(video_id, -1.0))
    ranked = sorted(best, key=lambda video_id: (-best[video_id], video_id))
    return ranked[:MAX_CANDIDATES]
