"""What a second index lacks of a first one, and has too much."""

from __future__ import annotations

from ingest.fingerprint import same_content, same_source
from searcher.storage.video import Video
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex
from storyhash.pipeline.index_plan import (
    WORTH_A_RETRY,
    IndexPlan,
    MovedVideo,
    PlannedVideo,
    Relabelled,
    WorkItem,
    add_to_plan,
    description_of,
    note_moves,
)
from storyhash.pipeline.relabelling import relabel


def plan_second(first: VideoStore, second: VideoStore, *, retry_failed: bool = True) -> IndexPlan:
    """What must be done so that a second catalogue has the searchable videos of the first one.

    removed: videos that the first one does not have any more. A video that is being indexed in the first
    one stays as it is. retry_failed: try videos again whose error may be gone.
    """
    plan = IndexPlan()
    for row in first.all():
        if row.state == "ready":
            add_to_plan(plan, _work_on(row, second, retry_failed=retry_failed))
    plan.removed = [video.video_id for video in second.all() if _is_gone(first, video.video_id)]
    return plan


def bring_in_step(plan: IndexPlan, second: VideoIndex) -> None:
    """Do the part of a plan that needs no model: delete, move and relabel. What must be indexed after all
    is added to `plan.work`."""
    second.delete_videos(plan.removed)
    note_moves(plan.moved, second.videos)
    plan.embed_again(relabel(plan.relabelled, second))


def is_wanted(item: WorkItem, first: VideoStore, second: VideoStore) -> bool:
    """Whether the first catalogue still has this file of a video, with this description, and the second
    one does not have it yet."""
    return _has(first, item) and not _has(second, item)


def _has(videos: VideoStore, item: WorkItem) -> bool:
    row = videos.get(item.entry.video_id)
    return (
        row is not None
        and row.state == "ready"
        and same_source(row.fingerprint, item.fingerprint)
        and row.description == description_of(item.entry)
    )


def work_item(row: Video, second: VideoStore) -> WorkItem:
    """A video of the first catalogue as the next version of the second one."""
    return WorkItem.of(row, second.next_version(row.video_id))


def _is_gone(first: VideoStore, video_id: str) -> bool:
    row = first.get(video_id)
    return row is None or (row.state == "failed" and not row.version)


def _work_on(row: Video, second: VideoStore, *, retry_failed: bool) -> PlannedVideo:
    """What must be done for a video of the first catalogue; the row of the second one if nothing must be
    done."""
    other = second.get(row.video_id)
    item = work_item(row, second)
    if other is None or other.state == "pending":
        return item
    is_same = same_source(row.fingerprint, other.fingerprint)
    if other.state == "failed":
        again = retry_failed and other.error_code in WORTH_A_RETRY
        return other if is_same and not again else item
    moved = MovedVideo(row.video_id, row.uri, row.root, row.fingerprint)
    if not is_same:
        content = (row.uri, row.fingerprint, other.uri, other.fingerprint)
        return moved if row.uri != other.uri and same_content(*content) else item
    if row.description != other.description:
        return Relabelled(item, other)
    return other if (row.uri, row.root) == (other.uri, other.root) else moved
