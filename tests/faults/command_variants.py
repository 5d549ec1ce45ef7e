"""`python -m tests.faults.command_variants NAME ARGUMENTS...`: a changed storyhash command.

crashing: ends by a fault, as native code does, at every segment of a video named `crash...`.
flawed: fails, as nobody foresaw, at every segment for which `is_flawed`. newer: knows version 2 of a
segment's schema beside version 1. watched: writes each batch it embeds to STORYHASH_TEST_JOURNAL.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import common.messaging.wire
from common.messaging.codec import Schemas
from common.messaging.event_schemas import EVENTS
from common.messaging.handler import Item
from common.messaging.transport import Message
from common.types import Embedding, Segment, SegmentRef

JOURNAL = "STORYHASH_TEST_JOURNAL"
SLOWNESS = "STORYHASH_TEST_SLOWNESS"


def is_flawed(ref: SegmentRef) -> bool:
    """Whether the flawed release fails at a segment: one of fifty."""
    return ref.point_id % 50 == 0


def crashing() -> None:
    from embedder.stage import EmbedderStage
    from tests.support.crashing import crash

    real = EmbedderStage.process

    def process(self: EmbedderStage, segments: Sequence[Segment]) -> list[Embedding]:
        if any(one.ref.video_id.startswith("crash") for one in segments):
            crash()
        return real(self, segments)

    EmbedderStage.process = process  # type: ignore[method-assign]


def flawed() -> None:
    from embedder.stage import EmbedderStage

    real = EmbedderStage.process

    def process(self: EmbedderStage, segments: Sequence[Segment]) -> list[Embedding]:
        if any(is_flawed(one.ref) for one in segments):
            raise ZeroDivisionError("nobody thought of it")
        return real(self, segments)

    EmbedderStage.process = process  # type: ignore[method-assign]


def newer() -> None:
    known = next(one for one in EVENTS if one.type is Segment)
    # What is written stays as it was: the newest version of a type is the last one given.
    common.messaging.wire.EVENT_SCHEMAS = Schemas((*EVENTS, replace(known, version=2)))


def watched() -> None:
    from embedder.handler import EmbedHandler

    real = EmbedHandler.process
    path, longer = Path(os.environ[JOURNAL]), float(os.environ.get(SLOWNESS, "0"))

    def process(self: EmbedHandler, items: Sequence[Item]) -> list[Message]:
        began = time.time()
        time.sleep(longer)
        made = real(self, items)
        lies = [(one.received.topic, one.received.partition, one.received.offset) for one in items]
        with path.open("a") as file:
            file.write(json.dumps({"began": began, "ended": time.time(), "lies": lies}) + "\n")
        return made

    EmbedHandler.process = process  # type: ignore[method-assign]


FLAVOURS: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (crashing, flawed, newer, watched)
}


def main() -> None:
    name, *arguments = sys.argv[1:]
    FLAVOURS[name]()
    sys.argv = ["storyhash", *arguments]
    from storyhash.cli import main as storyhash

    storyhash()


if __name__ == "__main__":
    main()
