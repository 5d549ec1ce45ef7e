"""The deletion of a video, step by step.

The indexes (of the second opinion and of each generation too), the state database and the webhooks have
no transaction in common, and the process may be killed between any two steps. So something durable says
what is left to do, and goes last: a note of the service, or the row of the video in a folder without a
service. Over Kafka the log has the deletion too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from searcher.deletion.notes import Deletion, DeletionNotes
from searcher.serving import Catalogue
from searcher.storage.video_store import VideoStore
from searcher.video_index import VideoIndex

if TYPE_CHECKING:
    # SQLAlchemy is slow to import, and most commands on videos do not need it.
    from common.state.state import State


def delete_in_service(
    video_id: str,
    catalogue: Catalogue,
    notes: DeletionNotes,
    state: Callable[[], State] | None,
    banks: frozenset[str] | None,
) -> bool:
    """Delete a video while queries are answered. False if it is unknown.

    1. Note the deletion on disk, with the event that webhooks will get. This comes first, because after
       step 2 nothing else says that there was a video.
    2. Delete it from each index: `serve` from its queue, its index and that of the second opinion
       (`ServedCatalogue`); over Kafka from the log and the index of each generation (`LogEditor`). From
       here on no search finds it. `LocalIndex.apply` and `QdrantIndex.apply` have the steps in one index.
    3. Delete what the state database has of it. This comes after step 2, because what is stored of a
       video meanwhile is deleted only if the index lacks it (`forget_deleted`).
    4. Tell webhooks, once nothing is left that a receiver could ask about.
    5. Remove the note. If a step fails, the note stays; the next attempt, or `end_interrupted` at the
       next start, does the rest and tells webhooks the same event. Over Kafka the next start first reads
       the log, which may have the deletion when the index has not.
    6. Soon after, in a thread of the service: remove it from snapshots, and its thumbnails and uploaded
       file (`VideoIndex.finish_deletions`). The catalogue remembers that this is due.

    banks: those that the caller may see, None for all. Raises what these steps raise, such as StateError.
    """
    video = catalogue.current().index.videos.get(video_id)
    with notes.begun(video_id, video) as event:  # Steps 1 and 5.
        known = catalogue.delete_video(video_id)
        if state is not None:
            # Also of an unknown video: an earlier call may have ended between the two steps. A service
            # that does not know it yet may follow a log, where it is of any bank.
            state().forget_video(video_id, banks if event is None else None)
            if event is not None:
                state().webhooks.enqueue(event)
    return known


def end_interrupted(notes: DeletionNotes, videos: VideoStore, state: State) -> None:
    """End what an earlier process of a service did not: steps 3 to 5."""

    def end(deletion: Deletion) -> None:
        # A video that is still there was not deleted, and nobody was told that it was.
        if videos.get(deletion.video_id) is None:
            state.forget_video(deletion.video_id)
            state.webhooks.enqueue(deletion.event)

    notes.recover(end)


def forget_deleted(state: State, video_ids: Iterable[str], videos: VideoStore) -> None:
    """Delete what was stored of videos after their deletion (step 3) by work that had begun before it:
    whoever stores something of a video calls this afterwards. Raises StateError."""
    for video_id in set(video_ids):
        if videos.get(video_id) is None:
            state.forget_video(video_id)


def delete_in_folder(
    index: VideoIndex,
    second: VideoIndex | None,
    forget: Callable[[Sequence[str]], None],
    video_ids: Sequence[str],
) -> list[str]:
    """Delete videos of a data folder that no service has open. Returns those that were indexed.

    The row in the first index says what is left to do, so that index comes last: after a crash the same
    command does the rest.

    1. Delete them from the second index, if there is one.
    2. `forget` them: delete what the state database has of them.
    3. Delete them from the first index, with snapshots, thumbnails and uploaded files.

    second: None leaves them to the next time when the second index is brought in step.
    """
    indexed = [one for one in dict.fromkeys(video_ids) if index.videos.get(one) is not None]
    if second is not None:
        second.delete_videos(video_ids)
    forget(indexed)
    index.delete_videos(indexed)
    return indexed
