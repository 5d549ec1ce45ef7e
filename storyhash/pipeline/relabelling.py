"""Updates videos whose bank, title or metadata changed, without embedding them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from common.types import Embedding
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from storyhash.pipeline.index_plan import Relabelled, WorkItem

# The vectors of this many videos are in memory together.
_VIDEOS_AT_ONCE = 50


def relabel(
    work: Sequence[Relabelled], index: LocalIndex, on_step: Callable[[], None] = lambda: None
) -> list[WorkItem]:
    """Write the new descriptions into row, mirror and shard, as new versions with the old vectors. A
    video whose row has changed in the meantime is skipped. on_step: called once per 50 videos.

    Returns the videos with missing vectors; the caller must index them.
    """
    incomplete: list[WorkItem] = []
    for start in range(0, len(work), _VIDEOS_AT_ONCE):
        on_step()
        incomplete += _relabel(work[start : start + _VIDEOS_AT_ONCE], index)
    return incomplete


def _relabel(work: Sequence[Relabelled], index: LocalIndex) -> list[WorkItem]:
    with index.changing:
        work = [one for one in work if index.videos.get(one.before.video_id) == one.before]
        held = index.embeddings_of([one.before for one in work])
        whole, incomplete = [], []
        for one in work:
            embeddings = held[one.before.video_id]
            if len(embeddings) == one.before.segments:
                whole.append(_described(one, embeddings))
            else:
                incomplete.append(one.item)
        # The rows are pending during the change: after a crash, these videos are indexed from their
        # files.
        index.videos.begin(*(one.video for one in whole))
        index.apply(Change(whole=whole))
    return incomplete


def _described(one: Relabelled, embeddings: Sequence[Embedding]) -> CompleteVideo:
    row = one.item.row(one.before.duration_seconds)
    return CompleteVideo(
        row,
        [
            replace(each, ref=replace(each.ref, bank=row.bank, version=row.version))
            for each in embeddings
        ],
    )
