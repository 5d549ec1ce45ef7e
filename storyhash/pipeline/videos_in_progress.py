"""The videos that an `Indexer` has begun, and the state of each.

    waiting      it is in the list of work, and its row is as it was
    set aside    it crashed the process three times: it fails without being opened again
    decoding     its segments arrive, and are embedded meanwhile
    failed       its file or a segment cannot be used
    dropped      it was deleted or posted again: nobody wants this version any more
    ended        it was committed, or its error was recorded, or it was dropped

A failed or dropped video ends when its decoder has ended; segments that still arrive are ignored. If the
run is interrupted, nothing is written of the videos that have not ended: the next run begins them anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from common.errors import SetAsideError, VideoError
from common.types import CatalogEntry, Embedding
from common.work_in_progress import WorkInProgress
from storyhash.pipeline.index_plan import WorkItem
from storyhash.pipeline.thumbnails import Thumbnails

_SET_ASIDE = (
    "StoryHash crashed three times while it processed this video; to try again, post it "
    "again, or delete it (storyhash videos delete) and index it again"
)


class State(Enum):
    """The state of a video that has begun and has not ended."""

    DECODING = auto()
    FAILED = auto()
    DROPPED = auto()


@dataclass(slots=True)
class VideoInProgress:
    """for_both: whether it is embedded for the second index too. second: the embeddings for it.
    produced_at: time of each segment, in Unix seconds. error: of a failed video."""

    item: WorkItem
    for_both: bool = False
    state: State = State.DECODING
    embeddings: list[Embedding] = field(default_factory=list)
    second: list[Embedding] = field(default_factory=list)
    produced_at: list[float] = field(default_factory=list)
    error: VideoError | None = None

    def fail(self, error: VideoError) -> None:
        """It cannot be used."""
        self.error = error
        if self.state is State.DECODING:
            self.state = State.FAILED

    def drop(self) -> None:
        """It is not wanted any more, failed or not."""
        self.state = State.DROPPED


class VideosInProgress:
    """Begins videos, and records on disk which ones are in progress. Decoders begin them in their
    threads; everything else is for one thread."""

    def __init__(
        self, record: WorkInProgress, thumbnails: Thumbnails, *, second_profile: bool
    ) -> None:
        """second_profile: whether videos are embedded for a second index too."""
        self._record = record
        self._thumbnails = thumbnails
        self._second_profile = second_profile
        self._begun: dict[str, VideoInProgress] = {}
        self._set_aside: deque[WorkItem] = deque()

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """A run. If it ends, even with an error, the process has not crashed: the videos of the run are
        not suspects."""
        self._begun.clear()
        self._set_aside.clear()
        try:
            yield
        finally:
            self._record.release()
            self._thumbnails.drop_all()

    def begin(self, work: Iterable[WorkItem | None]) -> Iterator[tuple[CatalogEntry, int] | None]:
        """The entry and the version of each video to decode. None: nothing can begin yet. A suspect is
        alone in progress."""
        for item in work:
            if item is None:
                yield None
                continue
            name = _name(item)
            if self._record.is_set_aside(name):
                self._set_aside.append(item)
                continue
            suspect = self._record.is_suspect(name)
            while suspect and self._begun:
                yield None
            # If it was the second profile that crashed the process, the first one gets it all the same.
            for_both = self._second_profile and not suspect
            self._begun[item.entry.video_id] = VideoInProgress(item, for_both)
            self._record.take(name)
            self._thumbnails.begin(item.entry.video_id, item.version)
            yield item.entry, item.version
            while suspect and item.entry.video_id in self._begun:
                yield None

    def __getitem__(self, video_id: str) -> VideoInProgress:
        return self._begun[video_id]

    def set_aside(self) -> Iterator[VideoInProgress]:
        """The videos that were set aside, as failed ones; each is given once."""
        while self._set_aside:
            video = VideoInProgress(self._set_aside.popleft())
            video.fail(SetAsideError(_SET_ASIDE))
            yield video

    def interrupt(self) -> None:
        """The run stops: what has not ended stays as it was."""
        self._set_aside.clear()

    def leave(self, video: VideoInProgress) -> None:
        """It is written, but what follows from that is left to the next process."""
        self._record.leave(_name(video.item))

    def end(self, video: VideoInProgress, *, dropped: bool) -> None:
        """It has ended. A dropped video was not processed completely, so its crashes still count."""
        video_id = video.item.entry.video_id
        if self._begun.get(video_id, video) is video:
            self._begun.pop(video_id, None)
            forget = self._record.release if dropped else self._record.done
            forget(_name(video.item))


def _name(item: WorkItem) -> str:
    """The name of a video in the record of work in progress. A changed file has a new name."""
    return f"{item.entry.video_id} {item.fingerprint}"


def video_of(name: str) -> str:
    """The id of a video by its name in the record of work in progress."""
    return name.rpartition(" ")[0]
