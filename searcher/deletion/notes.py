"""Notes of deletions that have begun: if an error or a crash interrupts one, it is ended later."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from common.state.events import Event, video_deleted
from common.work_in_progress import WorkInProgress
from searcher.storage.disk_reserve import DiskReserve
from searcher.storage.video import Video


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that has begun. event: tells webhooks of it."""

    event: Event

    @property
    def video_id(self) -> str:
        return str(self.event.data["video_id"])


class DeletionNotes:
    """Each deletion, from its beginning to its end. Thread-safe."""

    def __init__(self, notes: WorkInProgress | None = None) -> None:
        """notes: outlive the process (default: none do)."""
        self._notes = notes or WorkInProgress()
        self._reserve: DiskReserve | None = None
        self._lock = threading.Lock()
        # By the id of the video: those that an error interrupted too.
        self._begun: dict[str, Deletion] = {}

    def open(self, notes: WorkInProgress, reserve: DiskReserve | None = None) -> None:
        """Keep notes here from now on, and use this reserve, if there is one, where the disk is full."""
        self._notes, self._reserve = notes, reserve

    def close(self) -> None:
        """Release the notes. What has not ended is ended by the next process."""
        self._notes.close(forget=False)

    @contextmanager
    def begun(self, video_id: str, video: Video | None) -> Iterator[Event | None]:
        """The event of a deletion; None for a video that is unknown and was not being deleted. Within the
        block it is noted; it stays noted if the block fails, and the next attempt has the same event."""
        with self._lock:
            deletion = self._begun.get(video_id)
            if video is not None:
                event = video_deleted(video_id, video.bank)
                if deletion is not None:
                    event = replace(event, id=deletion.event.id)
                deletion = self._begun[video_id] = Deletion(event)
        if deletion is None:
            yield None
            return
        name = _name(deletion)
        with ExitStack() as room:
            if self._reserve is not None:
                room.enter_context(self._reserve.given_up())
            self._notes.take(name)
            yield deletion.event
            with self._lock:
                self._begun.pop(video_id, None)
            self._notes.done(name)

    def recover(self, end: Callable[[Deletion], None]) -> None:
        """End what a crash interrupted. end: is called for each deletion that had begun; its video may
        still be there."""
        for name in self._notes.left():
            end(_deletion(name))
            self._notes.done(name)


def _name(deletion: Deletion) -> str:
    data = deletion.event.data
    return json.dumps([deletion.event.id, data["video_id"], data["bank"]])


def _deletion(name: str) -> Deletion:
    # Notes of an earlier version have a fourth value.
    event_id, video_id, bank = json.loads(name)[:3]
    return Deletion(replace(video_deleted(video_id, bank), id=event_id))
