"""The queue of videos to index, in the order of the requests.

The queue is the catalogue's rows with the state `pending`, so it survives a crash. All changes happen
under the index' lock `changing`, so that concurrent requests, deletions and completions have one order
for the queue and for the index.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from searcher.video_index import VideoIndex
from storyhash.pipeline.index_plan import Relabelled, WorkItem
from storyhash.pipeline.relabelling import relabel


class IndexQueue:
    """Provides an `Indexer` with videos, without end. Thread-safe."""

    def __init__(self, index: VideoIndex) -> None:
        """What was pending when the index was last closed is due again."""
        self._index = index
        # Each with the moment since which it waits, by the monotonic clock.
        self._due: dict[str, float] = dict.fromkeys(index.videos.pending(), time.monotonic())
        # What each video under way is to become; None once it was deleted.
        self._under_way: dict[str, WorkItem | None] = {}

    @property
    def idle(self) -> bool:
        """Whether the queue is empty and nothing is in progress."""
        with self._index.changing:
            return not self._due and not self._under_way

    def __len__(self) -> int:
        """Number of videos that are not indexed yet, including those in progress."""
        with self._index.changing:
            return len(self._due.keys() | self._under_way.keys())

    def waiting_seconds(self) -> list[float]:
        """How long each video waits, of those that are not in progress."""
        with self._index.changing:
            since = list(self._due.values())
        now = time.monotonic()
        return [now - moment for moment in since]

    def add(self, items: Iterable[WorkItem]) -> None:
        """Queue videos durably. Work in progress on one of them is dropped, unless it is the same: an
        equal description and an unchanged file."""
        with self._index.changing:
            wanted = [item for item in items if not self._is_under_way(item)]
            self._index.videos.begin(*(item.row() for item in wanted))
            for item in wanted:
                self._due.setdefault(item.entry.video_id, time.monotonic())

    def relabel(self, work: Sequence[Relabelled]) -> None:
        """Update the description of indexed videos; those without all vectors are queued."""
        with self._index.changing:
            self.add(relabel(work, self._index))

    def _is_under_way(self, item: WorkItem) -> bool:
        now = self._under_way.get(item.entry.video_id)
        if now is None or not item.fingerprint or item.entry.video_id in self._due:
            return False
        return replace(now, version=item.version) == item

    def delete(self, video_id: str) -> bool:
        """Delete a video, indexed or queued; False if it is unknown."""
        with self._index.changing:
            if not self._index.delete_from_searches(video_id):
                return False
            self._due.pop(video_id, None)
            if video_id in self._under_way:
                self._under_way[video_id] = None
            return True

    def draw(self) -> Iterator[WorkItem | None]:
        """Yield the next video to index, or None while there is none; endless."""
        while True:
            yield self._next()

    def wanted(self, item: WorkItem) -> bool:
        """Whether the work in progress on a video is still wanted with this description."""
        with self._index.changing:
            video_id = item.entry.video_id
            return self._under_way.get(video_id) is item and video_id not in self._due

    def ended(self, item: WorkItem) -> None:
        """It is indexed, failed or dropped."""
        with self._index.changing:
            self._under_way.pop(item.entry.video_id, None)

    def give_back(self) -> None:
        """What is under way will not be finished; it is due again, before everything else."""
        with self._index.changing:
            again = [video_id for video_id, item in self._under_way.items() if item is not None]
            self._due = dict.fromkeys(again, time.monotonic()) | self._due
            self._under_way.clear()

    def _next(self) -> WorkItem | None:
        videos = self._index.videos
        with self._index.changing:
            # One that is deleted or asked for anew while it is under way waits until that has ended.
            video_id = next((one for one in self._due if one not in self._under_way), None)
            if video_id is None:
                return None
            del self._due[video_id]
            row = videos.get(video_id)
            if row is None:
                raise ValueError(f"{video_id!r}: expected a row for what is due")
            item = WorkItem.of(row, videos.next_version(video_id))
            self._under_way[video_id] = item
            return item
