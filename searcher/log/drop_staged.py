"""Drops incomplete videos."""

from __future__ import annotations

from common.messaging.events import VideoEnd
from common.messaging.handler import Item
from common.messaging.transport import ReceivedMessage
from common.messaging.unreadable import lost_end
from common.messaging.wire import Envelope
from common.metrics import Metrics
from searcher.log.consumer import IndexHandler
from searcher.storage.staged_videos import DROPPED
from searcher.video_index import VideoIndex

_MESSAGE = "dropped while it was incomplete; send it again: storyhash ingest --again"


def dropped_end(video_id: str, version: int) -> VideoEnd:
    """The event that drops a version: it failed, and all of its segments are discarded."""
    return lost_end(video_id, version, DROPPED, _MESSAGE)


def drop_staged(index: VideoIndex, video_id: str, version: int) -> None:
    """Drop a version in an index that follows no log at the moment. The deletions for the log are
    published when a service follows it again."""
    handler = IndexHandler(
        index,
        "",
        batch_messages=1,
        match_new_videos=lambda: False,
        metrics=Metrics.create("search"),
    )
    handler.take(
        [Item(Envelope(dropped_end(video_id, version)), ReceivedMessage("", -1, -1, b"", b""))]
    )
