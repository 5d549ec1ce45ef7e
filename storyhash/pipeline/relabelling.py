"""Videos whose bank, title or metadata changed and whose pictures did not: nothing is embedded again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from common.types import Embedding
from searcher.index_transaction import Change, CompleteVideo
from searcher.local_index import LocalIndex
from storyhash.pipeline.index_plan import Relabelled, WorkItem

# Their vectors are in memory together.
_VIDEOS_AT_ONCE = 50


def relabel(
    work: Sequence[Relabelled], index: LocalIndex, on_step: Callable[[], None] = lambda: None
) -> list[WorkItem]:
    """Have row, mirror and shard say of each video what its new description does, as a new version with
    the vectors of the one before. One whose row has changed meanwhile is left alone. `on_step` is called
    now and then.

    Returns those whose vectors are not all there; they are to be indexed.
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
        # After a crash in the middle of it they are indexed from their files.
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
