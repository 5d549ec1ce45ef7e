"""`python -m tests.faults.die_at_point POINT N ARGUMENTS...`: a storyhash command that dies of SIGKILL.

It dies the N-th time it comes to a point, so that a crash lies exactly between two steps that belong
together."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """Just after, or just before, a call of `owner`'s `name`; owner is MODULE or MODULE:CLASS."""

    owner: str
    name: str
    after: bool = True


SEARCHER = {
    "mirror-written": Point("searcher.mirror.subprocess_mirror:MirrorProcess", "upsert"),
    "mirror-flushed": Point("searcher.mirror.subprocess_mirror:MirrorProcess", "flush"),
    "rows-committed": Point("searcher.index.shard:Shard", "replace_videos", after=False),
    "index-changed": Point("searcher.log.consumer:IndexHandler", "process"),
    "tombstones-published": Point("common.messaging.worker:Worker", "_publish"),
    "offsets-noted": Point("searcher.log.offset_consumer:OffsetConsumer", "commit"),
    "snapshot-written": Point("searcher.index.snapshot", "_replace", after=False),
    "snapshot-in-place": Point("searcher.index.snapshot", "_replace"),
    "deletions-purged": Point(
        "searcher.storage.video_store:VideoStore", "mark_purged", after=False
    ),
    "match-published": Point("searcher.storage.staging:Staging", "matched", after=False),
}
EMBEDDER = {
    "embedded": Point("embedder.handler:EmbedHandler", "process"),
    "embeddings-published": Point("common.messaging.worker:Worker", "_publish"),
    "segments-committed": Point("common.kafka.group_consumer:KafkaGroupConsumer", "commit"),
}
PRODUCER = {
    "planned": Point("ingest.ledger:ProducerLedger", "plan"),
    "sent-in-part": Point(
        "storyhash.services.streaming.segment_publisher:SegmentPublisher", "_send"
    ),
    "acknowledged": Point("ingest.ledger:ProducerLedger", "done", after=False),
    "noted": Point("ingest.ledger:ProducerLedger", "done"),
}
# Reached by requests alone.
DELETING = {"deleted-in-the-index": Point("common.state.state:State", "forget_video", after=False)}
POINTS = SEARCHER | EMBEDDER | PRODUCER | DELETING


def arm(point: Point, count: int) -> None:
    """Have this process die there."""
    module, _, name = point.owner.partition(":")
    owner = importlib.import_module(module)
    if name:
        owner = getattr(owner, name)
    real: Callable[..., Any] = getattr(owner, point.name)
    left = [count]

    def cut(*arguments: Any, **named: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0 and not point.after:
            _die()
        answer = real(*arguments, **named)
        if left[0] <= 0:
            _die()
        return answer

    setattr(owner, point.name, cut)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    name, count, *arguments = sys.argv[1:]
    arm(POINTS[name], int(count))
    sys.argv = ["storyhash", *arguments]
    # Only now: what is cut must be cut before anything takes hold of it.
    from storyhash.cli import main as storyhash

    storyhash()


if __name__ == "__main__":
    main()
