"""Updates videos whose bank, title or metadata changed, without embedding them again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from common.slices import slices
from common.types import Embedding
from searcher.index_transaction import Change, CompleteVideo
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_plan import Relabelled, WorkItem

# The vectors of this many videos are in memory together.
_VIDEOS_AT_ONCE = 50


def relabel(
    work: Sequence[Relabelled], index: VideoIndex, on_step: Callable[[], None] = lambda: None
) -> list[WorkItem]:
    """Write the new descriptions into row, mirror and shard, as new versions with the old vectors. A
    video whose row has changed in the meantime is skipped. on_step: called once per 50 videos.

    Returns the videos with missing vectors; the caller must index them.
    """
    incomplete: list[WorkItem] = []
    for some in slices(work, _VIDEOS_AT_ONCE):
        on_step()
        incomplete += _relabel(some, index)
    return incomplete


def _relabel(work: Sequence[Relabelled], index: VideoIndex) -> list[WorkItem]:
    with index.changing:
        work = [
            relabelled
            for relabelled in work
            if index.videos.get(relabelled.before.video_id) == relabelled.before
        ]
        by_video = index.embeddings_of([relabelled.before for relabelled in work])
        complete, incomplete = [], []
        for relabelled in work:
            embeddings = by_video[relabelled.before.video_id]
            if len(embeddings) == relabelled.before.segments:
                complete.append(_described(relabelled, embeddings))
            else:
                incomplete.append(relabelled.item)
        # The rows are pending during the change: after a crash, these videos are indexed from their
        # files.
        index.videos.begin(*(relabelled.video for relabelled in complete))
        index.apply(Change(whole=complete))
    return incomplete


def _described(relabelled: Relabelled, embeddings: Sequence[Embedding]) -> CompleteVideo:
    row = relabelled.item.row(relabelled.before.duration_seconds)
    return CompleteVideo(
        row,
        [
            replace(embedding, ref=replace(embedding.ref, bank=row.bank, version=row.version))
            for embedding in embeddings
        ],
    )
